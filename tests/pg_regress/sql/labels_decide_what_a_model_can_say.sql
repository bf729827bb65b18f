-- Stars give rating, sentiment and score; negative/neutral/positive give sentiment and score; others a class.
\set classifier 'file://' :models '/bert-classification-3'
\set stars 'file://' :models '/bert-stars-sharded'
SELECT ecommerce_ml.import_model('stars', :'stars'), ecommerce_ml.import_model('moods', :'classifier'),
       ecommerce_ml.import_model('colours', :'classifier', '{"labels": ["red", "green", "blue"]}');
SELECT ecommerce_ml.predict_rating('Good.', 'stars') BETWEEN 1 AND 5 AS rating,
       ecommerce_ml.predict_sentiment_score('Good.', 'stars') BETWEEN -1 AND 1 AS score,
       ecommerce_ml.predict_class('Good.', 'stars') LIKE '%star%' AS class;
SELECT ecommerce_ml.predict_sentiment('Good.', 'moods') = ecommerce_ml.predict_class('Good.', 'moods') AS same,
       ecommerce_ml.predict_sentiment_score('Good.', 'moods') BETWEEN -1 AND 1 AS score;
SELECT ecommerce_ml.predict_rating('Good.', 'moods');
SELECT ecommerce_ml.predict_class('Good.', 'colours') IN ('red', 'green', 'blue') AS class;
SELECT ecommerce_ml.predict_sentiment('Good.', 'colours');
