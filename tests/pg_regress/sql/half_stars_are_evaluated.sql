-- Numbers between stars are evaluated as they are trained with: errors by the number, classes by the nearest star.
CREATE TABLE marked AS
    SELECT 'Good price. ' || i AS body, (2 + i % 7) / 2.0 AS half, ((2 + i % 7) / 2.0)::real AS real_half, floor((2 + i % 7) / 2.0 + 0.5)::int AS nearest
    FROM generate_series(1, 28) AS i;
SELECT half, count(*) FROM marked GROUP BY half ORDER BY half;
SELECT e.metric, round(e.value::numeric, 4) = round(w.value::numeric, 4) AS as_wanted
FROM ecommerce_ml.evaluate_model('reviews', 'marked', 'body', 'half') AS e
JOIN (SELECT 'mae' AS metric, avg(abs(ecommerce_ml.predict_rating(body) - half)) AS value FROM marked
      UNION ALL SELECT 'rmse', sqrt(avg((ecommerce_ml.predict_rating(body) - half) ^ 2)) FROM marked
      UNION ALL SELECT 'count', 28) AS w USING (metric) ORDER BY metric;
-- All but the errors is that of the nearest stars.
SELECT metric, class FROM (SELECT * FROM ecommerce_ml.evaluate_model('reviews', 'marked', 'body', 'half')
                           EXCEPT SELECT * FROM ecommerce_ml.evaluate_model('reviews', 'marked', 'body', 'nearest')) AS other ORDER BY metric;
SELECT count(*) FROM (SELECT * FROM ecommerce_ml.confusion_matrix('reviews', 'marked', 'body', 'half')
                      EXCEPT ALL SELECT * FROM ecommerce_ml.confusion_matrix('reviews', 'marked', 'body', 'nearest')) AS other;
SELECT count(*) FROM (SELECT * FROM ecommerce_ml.evaluate_model('reviews', 'marked', 'body', 'half')
                      EXCEPT ALL SELECT * FROM ecommerce_ml.evaluate_model('reviews', 'marked', 'body', 'real_half')) AS other;
-- Beyond the scale there are no stars, and a word is no number.
INSERT INTO marked VALUES ('Good.', 5.5);
SELECT ecommerce_ml.evaluate_model('reviews', 'marked', 'body', 'half');
CREATE VIEW worded AS SELECT body, half::text AS half FROM marked WHERE half = 2.5;
SELECT ecommerce_ml.evaluate_model('reviews', 'worded', 'body', 'half');
