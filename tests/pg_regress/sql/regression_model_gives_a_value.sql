-- A model with one output has a value and no classes; a classifier the other way round.
\set regression 'file://' :models '/bert-regression'
\set classifier 'file://' :models '/bert-classification-3'
SELECT ecommerce_ml.import_model('price', :'regression'), ecommerce_ml.import_model('shop', :'classifier');
SELECT round(ecommerce_ml.predict_value('Good.', 'price')::numeric, 3);
SELECT task, labels FROM ecommerce_ml.models WHERE name = 'price';
SELECT ecommerce_ml.predict_class('Good.', 'price');
SELECT ecommerce_ml.predict_sentiment('Good.', 'price');
SELECT ecommerce_ml.predict_value('Good.', 'shop');
SELECT ecommerce_ml.predict_rating('Good.', 'shop');
