-- How sure an answer is: the probability of the sentiment where labels mean one, else of the class.
\set classifier 'file://' :models '/bert-classification-3'
\set regression 'file://' :models '/bert-regression'
\set vectors 'file://' :models '/bert-embedding'
\set columns 'file://' :models '/columns-classification'
\set worth 'file://' :models '/columns-regression'
SELECT ecommerce_ml.import_model('shop', :'classifier'), ecommerce_ml.import_model('price', :'regression'),
       ecommerce_ml.import_model('vectors', :'vectors'), ecommerce_ml.import_model('stays', :'columns'),
       ecommerce_ml.import_model('worth', :'worth');
CREATE TABLE reviews (id int, body text);
INSERT INTO reviews VALUES (1, 'Good.'), (2, 'Broke after a week, and nobody answers.'), (3, 'It is a lamp.'), (4, NULL), (5, '  '), (6, 'Good.');
-- Stars: all stars that are of the sentiment, together.
SELECT id, round(ecommerce_ml.predict_confidence(body)::numeric, 4) = round(CASE ecommerce_ml.predict_sentiment(body)
           WHEN 'negative' THEN (p ->> '1 star')::numeric + (p ->> '2 stars')::numeric
           WHEN 'neutral' THEN (p ->> '3 stars')::numeric
           ELSE (p ->> '4 stars')::numeric + (p ->> '5 stars')::numeric END, 4) AS agrees
FROM (SELECT id, body, ecommerce_ml.predict_probabilities(body) AS p FROM reviews) AS r ORDER BY id;
-- Classes: the likeliest one's.
SELECT id, ecommerce_ml.predict_confidence(body, 'shop')
           = (ecommerce_ml.predict_probabilities(body, 'shop') ->> ecommerce_ml.predict_class(body, 'shop'))::real AS agrees
FROM reviews ORDER BY id;
-- Each form says the same.
SELECT count(*) FROM reviews AS r WHERE ecommerce_ml.predict_confidence(body)
    IS DISTINCT FROM (ecommerce_ml.predict_confidence(ARRAY[body]))[1]
    OR ecommerce_ml.predict_confidence(body, 'shop@1') IS DISTINCT FROM (ecommerce_ml.predict_confidence(ARRAY[body], 'shop'))[1];
SELECT ecommerce_ml.predict_confidence(ARRAY[]::text[]), array_length(ecommerce_ml.predict_confidence(ARRAY['a', NULL, 'b']), 1);
SELECT bool_and(ecommerce_ml.predict_confidence(body) BETWEEN 0 AND 1) FROM reviews;
EXPLAIN (COSTS OFF) SELECT id FROM reviews WHERE ecommerce_ml.predict_confidence(body) < .6 ORDER BY ecommerce_ml.predict_confidence(body);
SET ecommerce_ml.batch_execution = off;
SELECT count(*) FROM reviews WHERE ecommerce_ml.predict_confidence(body) > 0;
RESET ecommerce_ml.batch_execution;
SELECT count(*) FROM reviews WHERE ecommerce_ml.predict_confidence(body) > 0;
-- Rows of columns.
CREATE TABLE customers (id int, price numeric, country text, member boolean, since timestamptz);
INSERT INTO customers VALUES (1, 12.5, 'AT', true, '2001-09-09 01:46:40+00'), (2, NULL, 'DE', false, NULL);
SELECT id, ecommerce_ml.predict_confidence(c, 'stays') = (p ->> ecommerce_ml.predict_class(c, 'stays'))::real AS agrees,
       ecommerce_ml.predict_confidence(to_jsonb(c), 'stays') = ecommerce_ml.predict_confidence(c, 'stays') AS jsonb_agrees
FROM (SELECT c, id, ecommerce_ml.predict_probabilities(c, 'stays') AS p FROM customers AS c) AS s ORDER BY id;
-- A number is not more or less likely.
SELECT ecommerce_ml.predict_confidence('Good.', 'price');
SELECT ecommerce_ml.predict_confidence('Good.', 'vectors');
SELECT ecommerce_ml.predict_confidence(c, 'worth') FROM customers AS c;
SELECT ecommerce_ml.predict_confidence('Good.', 'stays');
SELECT ecommerce_ml.predict_confidence('Good.', 'nobody');
SELECT ecommerce_ml.predict_confidence(NULL), ecommerce_ml.predict_confidence('Good.', NULL);
