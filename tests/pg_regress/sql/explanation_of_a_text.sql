-- Each token is told by its place in the text, with what it contributes. Those of a few words are on one row each.
SELECT token, start, length, sign(contribution) FROM ecommerce_ml.explain_prediction('Broken. I love it!') WHERE token IN ('Broken', 'love');
SELECT pg_typeof(token), pg_typeof(start), pg_typeof(contribution) FROM ecommerce_ml.explain_prediction('good') LIMIT 1;
-- They add up to what takes stars from those of nothing to those of the text.
SELECT count(*), bool_and(abs(predicted - nothing - sum) <= 0.01 * abs(predicted - nothing) + 0.1) AS adds_up
FROM (VALUES ('Boils fast, looks great. I love it!'), ('Broke after a week. Nobody answers my mails.'), ('bad')) AS v (body),
     LATERAL (SELECT ecommerce_ml.predict_rating(body) AS predicted, sum(contribution)
              FROM ecommerce_ml.explain_prediction(body)) AS e,
     LATERAL (SELECT ecommerce_ml.predict_rating(trim(repeat('[PAD] ', ecommerce_ml.token_count(body) - 2))) AS nothing) AS n;
-- Places are those of characters, whatever they are made of.
SELECT token, start, length, substr(body, start, length) = token AS found
FROM (SELECT E'Café\r\n😍 太好了 e\u0301te\u0301 &amp;' AS body) AS v, ecommerce_ml.explain_prediction(body);
-- Nothing to read, nothing to explain.
SELECT count(*) FROM (VALUES (''), (E' \n'), (NULL)) AS v (body), ecommerce_ml.explain_prediction(body);
-- A label of one's own, another model.
SELECT count(*) > 0 AS explained FROM ecommerce_ml.explain_prediction('good', 'reviews@1', '5 stars');
\set regression 'file://' :models '/bert-regression'
\set classifier 'file://' :models '/bert-classification-3'
SELECT ecommerce_ml.import_model('price', :'regression'), ecommerce_ml.import_model('shop', :'classifier');
SELECT token, round(contribution::numeric, 3) AS contribution FROM ecommerce_ml.explain_prediction('Not good.', 'price');
SELECT token, round(contribution::numeric, 3) AS contribution FROM ecommerce_ml.explain_prediction('Not good.', 'shop');
SELECT token, round(contribution::numeric, 3) AS contribution FROM ecommerce_ml.explain_prediction('Not good.', 'shop', 'neutral');
SELECT count(*) FROM ecommerce_ml.stat_models WHERE name = 'shop' AND precision_note ~ 'explain';
