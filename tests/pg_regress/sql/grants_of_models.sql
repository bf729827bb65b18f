-- A model is for its owner until it is granted.
\set source 'file://' :models '/bert-classification-3'
CREATE ROLE regress_shop_analyst;
SELECT ecommerce_ml.import_model('shop', :'source');
SET ROLE regress_shop_analyst;
SELECT ecommerce_ml.predict_class('good', 'shop');
SELECT ecommerce_ml.predict_sentiment('I love it!');
SELECT ecommerce_ml.drop_model('shop');
RESET ROLE;
SELECT ecommerce_ml.grant_model('shop', 'regress_shop_analyst');
SET ROLE regress_shop_analyst;
SELECT ecommerce_ml.predict_class('good', 'shop') IS NOT NULL AS answered;
SELECT ecommerce_ml.deploy_model('shop', 1);
RESET ROLE;
SELECT ecommerce_ml.revoke_model('shop', 'regress_shop_analyst');
SET ROLE regress_shop_analyst;
SELECT ecommerce_ml.predict_class('good', 'shop');
RESET ROLE;
DROP ROLE regress_shop_analyst;
