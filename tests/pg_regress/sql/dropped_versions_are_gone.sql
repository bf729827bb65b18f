-- A version that is live stays until another one is; a model goes with all its versions.
\set source 'file://' :models '/bert-classification-3'
SELECT ecommerce_ml.import_model('shop', :'source');
SELECT ecommerce_ml.import_model('shop', :'source', '{"max_length": 16}');
SELECT ecommerce_ml.drop_model('shop', 1);
SELECT ecommerce_ml.drop_model('shop', 2);
SELECT ecommerce_ml.drop_model('shop', 2);
SELECT ecommerce_ml.predict_class('good', 'shop@2');
SELECT ecommerce_ml.drop_model('shop');
SELECT ecommerce_ml.predict_class('good', 'shop');
SELECT name FROM ecommerce_ml.models WHERE name NOT LIKE 'reviews_%';
SELECT count(*) FROM ecommerce_ml.stored_chunk;
