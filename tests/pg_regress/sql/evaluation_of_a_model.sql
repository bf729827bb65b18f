-- Stars as numbers and by name; rows without text or label are left out and counted.
CREATE TABLE marked (body text, stars integer, label text, mark numeric(3, 1));
INSERT INTO marked VALUES
    ('Perfect, I love it!', 5, '5 stars', 5.0),
    ('Terrible, it broke at once.', 1, '1 star', 1.0),
    ('Good, but it rattles a bit.', 4, '4 stars', 4.0),
    ('It is okay, nothing special.', 3, '3 stars', 3.0),
    ('Awful. I want my money back!', 2, '2 stars', 2.0),
    (NULL, 5, '5 stars', 5.0), (E' \t', 5, '5 stars', 5.0), ('No label', NULL, NULL, NULL);
CREATE TABLE by_number AS SELECT * FROM ecommerce_ml.evaluate_model('reviews', 'marked', 'body', 'stars');
SELECT metric, count(*), count(DISTINCT class) AS classes, bool_and(class IS NULL) AS overall FROM by_number GROUP BY metric ORDER BY metric COLLATE "C";
SELECT metric, value FROM by_number WHERE metric IN ('count', 'skipped');
SELECT count(*) FROM (TABLE by_number EXCEPT ALL SELECT * FROM ecommerce_ml.evaluate_model('reviews@1', 'marked', 'body', 'label')) AS other;
SELECT count(*) FROM (TABLE by_number EXCEPT ALL SELECT * FROM ecommerce_ml.evaluate_model('reviews', 'marked', 'body', 'mark')) AS other;
-- The same, from stored predictions.
CREATE VIEW scored AS SELECT ecommerce_ml.predict_class(body) AS predicted, ecommerce_ml.predict_rating(body) AS rating, label, stars FROM marked;
SELECT p.metric, p.class, p.value, m.value AS by_model
FROM ecommerce_ml.evaluate_predictions('scored', 'predicted', 'label') AS p
LEFT JOIN by_number AS m ON m.metric = p.metric AND m.class IS NOT DISTINCT FROM p.class WHERE m.value IS DISTINCT FROM p.value;
SELECT p.metric, abs(p.value - m.value) < 1e-9 AS same
FROM ecommerce_ml.evaluate_predictions('scored', 'rating', 'stars') AS p JOIN by_number AS m USING (metric) WHERE metric IN ('mae', 'rmse');
-- Every row is in the matrix.
SELECT sum(count), count(*) = count(DISTINCT actual) ^ 2 AS square FROM ecommerce_ml.confusion_matrix('reviews', 'marked', 'body', 'stars');
