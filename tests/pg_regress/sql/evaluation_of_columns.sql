-- A model of columns is measured on the columns that it reads.
\set classification 'file://' :models '/columns-classification'
\set regression 'file://' :models '/columns-regression'
SELECT ecommerce_ml.import_model('stays', :'classification'), ecommerce_ml.import_model('worth', :'regression');
CREATE TABLE customers AS
SELECT i AS id, i % 20 AS price, (ARRAY['AT', 'DE', 'FR'])[1 + i % 3] AS country, i % 2 = 0 AS member, date '1970-01-01' + i AS since,
       CASE WHEN i % 10 > 0 THEN CASE WHEN i % 20 < 11 THEN 'stays' ELSE 'leaves' END END AS label, (i % 20)::float8 AS worth, 'text' AS note
FROM generate_series(1, 100) AS i;
SELECT metric, class, round(value::numeric, 3) AS value FROM ecommerce_ml.evaluate_model('stays', 'customers', label_column => 'label')
WHERE metric IN ('count', 'skipped', 'accuracy', 'recall', 'baseline_accuracy') ORDER BY 1, 2;
SELECT * FROM ecommerce_ml.confusion_matrix('stays', 'customers', label_column => 'label', feature_columns => '{price,country,member,since,id}');
SELECT metric, round(value::numeric, 3) AS value FROM ecommerce_ml.evaluate_model('worth', 'customers', label_column => 'worth', time_column => 'since')
WHERE metric IN ('count', 'mae', 'rmse') ORDER BY 1;
SELECT count(*) FROM ecommerce_ml.evaluate_model(NULL, 'customers', label_column => 'label');
-- What doesn't fit.
SELECT ecommerce_ml.evaluate_model('stays', 'customers', 'note', 'label');
\echo :LAST_ERROR_SQLSTATE
SELECT ecommerce_ml.evaluate_model('reviews', 'customers', label_column => 'label', feature_columns => '{price}');
\echo :LAST_ERROR_SQLSTATE
SELECT ecommerce_ml.evaluate_model('reviews', 'customers', label_column => 'label');
\echo :LAST_ERROR_SQLSTATE
SELECT ecommerce_ml.evaluate_model('stays', 'customers');
\echo :LAST_ERROR_SQLSTATE
SELECT ecommerce_ml.evaluate_model('stays', 'customers', label_column => 'label', feature_columns => '{price,country}');
\echo :LAST_ERROR_SQLSTATE
SELECT ecommerce_ml.evaluate_model('stays', 'customers', label_column => 'label', key_columns => '{nosuch}');
\echo :LAST_ERROR_SQLSTATE
SELECT ecommerce_ml.evaluate_model('stays', 'customers', label_column => 'label', time_column => 'note');
\echo :LAST_ERROR_SQLSTATE
ALTER TABLE customers ALTER price TYPE text;
SELECT ecommerce_ml.evaluate_model('stays', 'customers', label_column => 'label');
\echo :LAST_ERROR_SQLSTATE
ALTER TABLE customers DROP price;
SELECT ecommerce_ml.evaluate_model('stays', 'customers', label_column => 'label');
\echo :LAST_ERROR_SQLSTATE
