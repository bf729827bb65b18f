-- A model of columns reads rows: those of tables, of subqueries, and objects of jsonb. Columns are found by name.
\set classification 'file://' :models '/columns-classification'
\set regression 'file://' :models '/columns-regression'
SELECT ecommerce_ml.import_model('stays', :'classification'), ecommerce_ml.import_model('worth', :'regression');
SELECT name, task, labels FROM ecommerce_ml.models WHERE name NOT LIKE 'reviews%' ORDER BY name;
CREATE TABLE customers (id int, price numeric, note text, country text, member boolean, since timestamptz);
INSERT INTO customers VALUES (1, 12.5, 'a', 'AT', true, '2001-09-09 01:46:40+00'), (2, NULL, 'b', 'DE', false, NULL), (3, 8, 'c', 'FR', NULL, '1970-01-01 00:00+00');
SELECT id, ecommerce_ml.predict_class(c, 'stays'), round(ecommerce_ml.predict_value(c, 'worth')::numeric, 3) AS value FROM customers AS c ORDER BY id;
SELECT id, round((p ->> 'stays')::numeric, 3) AS stays, round((p ->> 'leaves')::numeric, 3) AS leaves
FROM (SELECT id, ecommerce_ml.predict_probabilities(c, 'stays@1') AS p FROM customers AS c) AS s ORDER BY id;
EXPLAIN (COSTS OFF) SELECT ecommerce_ml.predict_class(c, 'stays') FROM customers AS c WHERE ecommerce_ml.predict_value(c, 'worth') > 0;
SELECT ecommerce_ml.predict_class(c, 'stays'), count(*) FROM customers AS c GROUP BY 1 ORDER BY 1;
-- What if?
SELECT id, round(ecommerce_ml.predict_value(to_jsonb(c) || '{"price": 10}', 'worth')::numeric, 3) AS value FROM customers AS c ORDER BY id;
SELECT ecommerce_ml.predict_class('{"price": 4, "country": null, "member": true, "since": "2001-09-09 01:46:40+00", "more": []}'::jsonb, 'stays');
-- A row that is missing has no answer; one of NULLs has.
SELECT ecommerce_ml.predict_class(NULL::customers, 'stays'), ecommerce_ml.predict_class(ROW(1, NULL, NULL, NULL, NULL, NULL)::customers, 'stays');
SELECT ecommerce_ml.predict_class(NULL::jsonb, 'stays'), ecommerce_ml.predict_class(c, NULL) FROM customers AS c WHERE id = 1;
