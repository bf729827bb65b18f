-- The first version of a name is deployed; later ones wait until they are.
\set source 'file://' :models '/bert-classification-3'
SELECT ecommerce_ml.import_model('shop', :'source');
SELECT name, live_version, task, labels, owner = current_user::regrole AS mine FROM ecommerce_ml.models WHERE name IN ('reviews', 'shop') ORDER BY name;
SELECT ecommerce_ml.predict_class('good', 'shop'), ecommerce_ml.predict_class('good', 'shop@1');
SELECT ecommerce_ml.import_model('shop', :'source', '{"labels": ["bad", "fair", "good"]}');
SELECT name, version, live, labels FROM ecommerce_ml.model_versions WHERE name = 'shop' ORDER BY version;
SELECT ecommerce_ml.deploy_model('shop', 2);
SELECT name, version, live FROM ecommerce_ml.model_versions WHERE name = 'shop' ORDER BY version;
SELECT ecommerce_ml.rollback_model('shop');
SELECT ecommerce_ml.rollback_model('shop');
SELECT name, version, live FROM ecommerce_ml.model_versions WHERE name = 'shop' ORDER BY version;
