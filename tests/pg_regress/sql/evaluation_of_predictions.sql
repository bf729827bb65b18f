-- Classes by their text, numbers as a regression; what is NULL on either side is left out.
CREATE TABLE judged (predicted text, actual text, guess real, stars integer, price numeric, sure boolean, "odd ""name" text);
INSERT INTO judged VALUES
    ('good', 'good', 4.5, 5, 4.50, true,  'good'),
    ('good', 'bad',  3,   2, 2.00, true,  'bad'),
    ('bad',  'bad',  1,   1, 1.00, false, 'bad'),
    ('fair', 'good', 3.5, 3, NULL, true,  'good'),
    (NULL,   'good', NULL, 4, 4.00, NULL, 'good'),
    ('bad',  NULL,   2,   NULL, NULL, false, NULL);
SELECT metric, class, round(value::numeric, 4) AS value FROM ecommerce_ml.evaluate_predictions('judged', 'predicted', 'actual');
SELECT metric, class, round(value::numeric, 4) AS value FROM ecommerce_ml.evaluate_predictions('judged', 'predicted', 'odd "name') WHERE class IS NULL;
SELECT metric, class, round(value::numeric, 4) AS value FROM ecommerce_ml.evaluate_predictions('judged', 'guess', 'stars');
SELECT metric, class, round(value::numeric, 4) AS value FROM ecommerce_ml.evaluate_predictions('judged', 'price', 'guess');
SELECT metric, class, value FROM ecommerce_ml.evaluate_predictions('judged', 'stars', 'stars') WHERE metric IN ('support', 'accuracy');
SELECT metric, class, value FROM ecommerce_ml.evaluate_predictions('judged', 'sure', 'sure') WHERE metric IN ('support', 'accuracy');
-- One row has no R2 and no correlation.
CREATE VIEW one AS SELECT guess, stars FROM judged LIMIT 1;
SELECT * FROM ecommerce_ml.evaluate_predictions('one', 'guess', 'stars');
SELECT ecommerce_ml.evaluate_predictions(NULL, 'guess', 'stars');
