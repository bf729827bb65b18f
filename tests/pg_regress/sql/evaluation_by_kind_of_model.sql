-- Two sentiments take booleans, a regression numbers, other classes their names.
\set pair 'file://' :models '/distilbert-classification'
\set three 'file://' :models '/bert-classification-3'
\set regression 'file://' :models '/bert-regression'
\set embedding 'file://' :models '/bert-embedding'
SELECT ecommerce_ml.import_model('moods', :'pair', '{"labels": ["POSITIVE", "NEGATIVE"]}'),
       ecommerce_ml.import_model('colours', :'three', '{"labels": ["red", "green", "blue"]}'),
       ecommerce_ml.import_model('price', :'regression'), ecommerce_ml.import_model('vectors', :'embedding');
CREATE DOMAIN colour AS text;
CREATE TYPE tint AS ENUM ('red', 'green', 'blue');
CREATE TABLE marked (body varchar, happy boolean, price float8, colour colour, tint tint);
INSERT INTO marked SELECT 'Good. ' || i, i % 2 = 0, i / 10.0, (ARRAY['red', 'green', 'blue'])[1 + i % 3], (ARRAY['red', 'green', 'blue'])[1 + i % 3]::tint FROM generate_series(1, 30) AS i;
SELECT metric, class FROM ecommerce_ml.evaluate_model('moods', 'marked', 'body', 'happy') WHERE metric IN ('roc_auc', 'macro_roc_auc');
SELECT sum(count) FILTER (WHERE actual = 'POSITIVE') AS positive, sum(count) FILTER (WHERE actual = 'NEGATIVE') AS negative FROM ecommerce_ml.confusion_matrix('moods', 'marked', 'body', 'happy');
SELECT metric, class FROM ecommerce_ml.evaluate_model('colours', 'marked', 'body', 'colour') WHERE metric IN ('roc_auc', 'macro_roc_auc', 'mae');
SELECT count(*) FROM (SELECT * FROM ecommerce_ml.evaluate_model('colours', 'marked', 'body', 'colour') EXCEPT ALL SELECT * FROM ecommerce_ml.evaluate_model('colours', 'marked', 'body', 'tint')) AS other;
SELECT metric, class FROM ecommerce_ml.evaluate_model('price', 'marked', 'body', 'price');
SELECT ecommerce_ml.confusion_matrix('price', 'marked', 'body', 'price');
SELECT ecommerce_ml.evaluate_model('price', 'marked', 'body', 'colour');
SELECT ecommerce_ml.evaluate_model('vectors', 'marked', 'body', 'colour');
SELECT ecommerce_ml.evaluate_model('colours', 'marked', 'body', 'happy');
