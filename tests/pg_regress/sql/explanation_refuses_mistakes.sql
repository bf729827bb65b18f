-- What can't be explained says why.
SELECT * FROM ecommerce_ml.explain_prediction('good', label => '6 stars');
SELECT * FROM ecommerce_ml.explain_prediction('good', 'nobody');
\set embedding 'file://' :models '/bert-embedding'
\set regression 'file://' :models '/bert-regression'
\set columns 'file://' :models '/columns-classification'
SELECT ecommerce_ml.import_model('vectors', :'embedding'), ecommerce_ml.import_model('price', :'regression'), ecommerce_ml.import_model('stays', :'columns');
SELECT * FROM ecommerce_ml.explain_prediction('good', 'vectors');
SELECT * FROM ecommerce_ml.explain_prediction('good', 'price', 'high');
SELECT * FROM ecommerce_ml.explain_prediction('good', 'stays');
SELECT * FROM ecommerce_ml.explain_prediction('{"price": 4}'::jsonb, 'reviews');
SELECT * FROM ecommerce_ml.explain_prediction('{"price": 4}'::jsonb, 'stays');
SELECT * FROM ecommerce_ml.explain_prediction('{"price": 4, "country": null, "member": true, "since": null}'::jsonb, 'stays', 'perhaps');
CREATE TABLE said (product text, body text, stars int);
SELECT * FROM ecommerce_ml.key_phrases('said', 'text', 'product');
SELECT * FROM ecommerce_ml.key_phrases('said', 'stars', 'product');
SELECT * FROM ecommerce_ml.key_phrases('said', 'body', 'product', 'price');
SELECT * FROM ecommerce_ml.key_phrases('said', 'body', 'product', 'stays');
SELECT * FROM ecommerce_ml.key_phrases('said', 'body', options => '{"sample": 3}');
SELECT * FROM ecommerce_ml.key_phrases('said', 'body', options => '{"phrases": 0}');
SELECT * FROM ecommerce_ml.key_phrases('said', 'body', 'product');
SELECT * FROM ecommerce_ml.key_phrases(NULL, 'body', 'product');
-- Whoever asks a model whenever a row is written is refused, explanations or not.
CREATE FUNCTION loud(body text) RETURNS bool LANGUAGE sql AS 'SELECT max(contribution) > 1 FROM ecommerce_ml.explain_prediction(body)';
CREATE TABLE quiet (body text CHECK (NOT loud(body)));
