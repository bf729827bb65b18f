-- Functions without a model use ecommerce_ml.default_model, which a role, database or transaction may set.
\set source 'file://' :models '/bert-classification-3'
SELECT ecommerce_ml.import_model('colours', :'source', '{"labels": ["red", "green", "blue"]}');
SHOW ecommerce_ml.default_model;
SET ecommerce_ml.default_model = 'colours';
SELECT ecommerce_ml.predict_class('Good.') IN ('red', 'green', 'blue') AS colour;
BEGIN;
SET LOCAL ecommerce_ml.default_model = 'reviews';
SELECT ecommerce_ml.predict_sentiment('I love it!');
COMMIT;
SET ecommerce_ml.default_model = 'colours@1';
SELECT ecommerce_ml.predict_class('Good.') IN ('red', 'green', 'blue') AS colour;
SET ecommerce_ml.default_model = 'nosuch';
SELECT ecommerce_ml.predict_class('Good.');
RESET ecommerce_ml.default_model;
SELECT ecommerce_ml.predict_sentiment('I love it!');
