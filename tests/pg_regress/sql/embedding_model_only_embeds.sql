-- A model without a head has nothing to predict with.
\set source 'file://' :models '/bert-embedding'
SELECT ecommerce_ml.import_model('vectors', :'source');
SELECT task, labels FROM ecommerce_ml.models WHERE name = 'vectors';
SELECT cardinality(ecommerce_ml.embed('Good.', 'vectors'));
SELECT ecommerce_ml.predict_sentiment('Good.', 'vectors');
SELECT ecommerce_ml.predict_class('Good.', 'vectors');
SELECT ecommerce_ml.predict_value('Good.', 'vectors');
