-- What each column of a row contributes, exactly: that of the likeliest class, of a label, or of a value.
\set classification 'file://' :models '/columns-classification'
\set regression 'file://' :models '/columns-regression'
SELECT ecommerce_ml.import_model('stays', :'classification'), ecommerce_ml.import_model('worth', :'regression');
CREATE TABLE customers (id int, price numeric, note text, country text, member boolean, since timestamptz);
INSERT INTO customers VALUES (1, 12.5, 'a', 'AT', true, '2001-09-09 01:46:40+00'), (2, NULL, 'b', 'DE', false, NULL), (3, 8, 'c', 'FR', NULL, '1970-01-01 00:00+00');
SET timezone = 'UTC';
SELECT id, ecommerce_ml.predict_class(c, 'stays') AS class, feature, value, round(contribution::numeric, 3) AS contribution
FROM customers AS c, ecommerce_ml.explain_prediction(c, 'stays') ORDER BY id, abs(contribution) DESC, feature;
-- Of two classes what one gains the other loses.
SELECT s.feature, s.contribution = -l.contribution AS opposite
FROM ecommerce_ml.explain_prediction('{"price": 4, "country": "AT", "member": true, "since": "2001-09-09 01:46:40+00"}'::jsonb, 'stays', 'stays') AS s
JOIN ecommerce_ml.explain_prediction('{"price": 4, "country": "AT", "member": true, "since": "2001-09-09 01:46:40+00"}'::jsonb, 'stays', 'leaves') AS l USING (feature)
ORDER BY 1;
-- Between two rows values differ by what the contributions differ by.
SELECT abs(p.worth - e.sum - first_value(p.worth - e.sum) OVER (ORDER BY id)) < 1e-9 AS same_baseline
FROM customers AS c, LATERAL (SELECT ecommerce_ml.predict_value(c, 'worth') AS worth) AS p,
     LATERAL (SELECT sum(contribution) FROM ecommerce_ml.explain_prediction(c, 'worth')) AS e;
-- A row that is missing has no explanation.
SELECT * FROM ecommerce_ml.explain_prediction(NULL::customers, 'stays');
SELECT * FROM ecommerce_ml.explain_prediction(NULL::jsonb, 'stays');
