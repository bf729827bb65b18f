-- SQLSTATE, message, detail and hint.
\set VERBOSITY verbose
\set source 'file://' :models '/bert-classification-3'
SELECT ecommerce_ml.import_model('shop', :'source');
SELECT ecommerce_ml.predict_sentiment('good', 'nosuch');
SELECT ecommerce_ml.predict_sentiment('good', 'shop@2');
SELECT ecommerce_ml.predict_sentiment('good', 'No Such');
SELECT ecommerce_ml.predict_value('good', 'shop');
SELECT ecommerce_ml.predict_sentiment(repeat('a', 5000000));
SELECT ecommerce_ml.import_model('other', :'source', '{"lables": ["a", "b", "c"]}');
SELECT ecommerce_ml.import_model('other', :'source', '{"labels": "a"}');
SELECT ecommerce_ml.import_model('other', 'https://example.com/model');
SELECT ecommerce_ml.drop_model('shop', 1);
SELECT ecommerce_ml.grant_model('shop', 'nobody_here');
