-- What a model reads, and what is given instead.
\set regression 'file://' :models '/columns-regression'
SELECT ecommerce_ml.import_model('worth', :'regression');
CREATE TABLE customers (price numeric, country text, member boolean, since date, address inet);
INSERT INTO customers VALUES (1, 'AT', true, '2024-01-01', '::1');
-- A text, and a row.
SELECT ecommerce_ml.predict_value('A text.', 'worth');
\echo :LAST_ERROR_SQLSTATE
SELECT ecommerce_ml.predict_value(country, 'worth') FROM customers;
\echo :LAST_ERROR_SQLSTATE
SELECT ecommerce_ml.predict_value(ARRAY['A text.'], 'worth');
\echo :LAST_ERROR_SQLSTATE
SELECT ecommerce_ml.token_count('A text.', 'worth');
\echo :LAST_ERROR_SQLSTATE
SELECT ecommerce_ml.predict_class(c, 'reviews') FROM customers AS c;
\echo :LAST_ERROR_SQLSTATE
SELECT ecommerce_ml.predict_class(to_jsonb(c), 'reviews') FROM customers AS c;
\echo :LAST_ERROR_SQLSTATE
SELECT ecommerce_ml.summarize_reviews(country, 'worth') FROM customers;
\echo :LAST_ERROR_SQLSTATE
-- A column that is missing, or of another type.
SELECT ecommerce_ml.predict_value(s, 'worth') FROM (SELECT price, country, since FROM customers) AS s;
\echo :LAST_ERROR_SQLSTATE
SELECT ecommerce_ml.predict_value(s, 'worth') FROM (SELECT price::text, country, member, since FROM customers) AS s;
\echo :LAST_ERROR_SQLSTATE
SELECT ecommerce_ml.predict_value(s, 'worth') FROM (SELECT price, address AS country, member, since FROM customers) AS s;
\echo :LAST_ERROR_SQLSTATE
SELECT ecommerce_ml.predict_value(s, 'worth') FROM (SELECT price, country, member::int, since FROM customers) AS s;
\echo :LAST_ERROR_SQLSTATE
SELECT ecommerce_ml.predict_value(ROW(1, 'AT', true, NULL), 'worth');
\echo :LAST_ERROR_SQLSTATE
-- The same of jsonb.
SELECT ecommerce_ml.predict_value(to_jsonb(c) - 'price', 'worth') FROM customers AS c;
\echo :LAST_ERROR_SQLSTATE
SELECT ecommerce_ml.predict_value(to_jsonb(c) || '{"price": "1"}', 'worth') FROM customers AS c;
\echo :LAST_ERROR_SQLSTATE
SELECT ecommerce_ml.predict_value(to_jsonb(c) || '{"country": ["AT"]}', 'worth') FROM customers AS c;
\echo :LAST_ERROR_SQLSTATE
SELECT ecommerce_ml.predict_value(to_jsonb(c) || '{"since": "soon"}', 'worth') FROM customers AS c;
\echo :LAST_ERROR_SQLSTATE
SELECT ecommerce_ml.predict_value('[1, 2]'::jsonb, 'worth');
\echo :LAST_ERROR_SQLSTATE
SELECT ecommerce_ml.predict_value('7'::jsonb, 'worth');
\echo :LAST_ERROR_SQLSTATE
-- What such a model doesn't say.
SELECT ecommerce_ml.predict_class(c, 'worth') FROM customers AS c;
\echo :LAST_ERROR_SQLSTATE
SELECT ecommerce_ml.predict_rating(c, 'worth') FROM customers AS c;
\echo :LAST_ERROR_SQLSTATE
-- Infinity is nothing that is known.
SELECT ecommerce_ml.predict_value(s, 'worth') FROM (SELECT 'Infinity'::float8 AS price, country, member, since FROM customers) AS s;
\echo :LAST_ERROR_SQLSTATE
