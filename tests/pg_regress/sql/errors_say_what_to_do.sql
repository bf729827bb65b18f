-- SQLSTATE, message, detail and hint.
\set source 'file://' :models '/bert-classification-3'
SELECT ecommerce_ml.import_model('shop', :'source');
SELECT ecommerce_ml.predict_sentiment('good', 'nosuch');
\echo :LAST_ERROR_SQLSTATE
SELECT ecommerce_ml.predict_sentiment('good', 'shop@2');
\echo :LAST_ERROR_SQLSTATE
SELECT ecommerce_ml.predict_sentiment('good', 'No Such');
\echo :LAST_ERROR_SQLSTATE
SELECT ecommerce_ml.predict_value('good', 'shop');
\echo :LAST_ERROR_SQLSTATE
SELECT ecommerce_ml.predict_sentiment(repeat('a', 5000000));
\echo :LAST_ERROR_SQLSTATE
SELECT ecommerce_ml.import_model('other', :'source', '{"lables": ["a", "b", "c"]}');
\echo :LAST_ERROR_SQLSTATE
SELECT ecommerce_ml.import_model('other', :'source', '{"labels": "a"}');
\echo :LAST_ERROR_SQLSTATE
SELECT ecommerce_ml.import_model('other', 'https://example.com/model');
\echo :LAST_ERROR_SQLSTATE
SELECT ecommerce_ml.drop_model('shop', 1);
\echo :LAST_ERROR_SQLSTATE
SELECT ecommerce_ml.grant_model('shop', 'nobody_here');
\echo :LAST_ERROR_SQLSTATE
