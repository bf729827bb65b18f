-- Five labels from very negative to very positive give sentiment and score, in any spelling, but no stars.
\set five 'file://' :models '/bert-stars-sharded'
SELECT ecommerce_ml.import_model('sst', :'five', '{"labels": ["Very Negative", "Negative", "Neutral", "Positive", "Very Positive"]}'),
       ecommerce_ml.import_model('upside_down', :'five', '{"labels": ["very_positive", "POSITIVE", "neutral", "negative", "very-negative"]}'),
       ecommerce_ml.import_model('mixed', :'five', '{"labels": ["very negative", "negative", "mixed", "positive", "very positive"]}');
CREATE TABLE texts AS SELECT i, 'Good price. ' || i AS body FROM generate_series(1, 20) AS i;
SELECT bool_and(abs(ecommerce_ml.predict_sentiment_score(body, 'sst') - (
           -1 * (p->>'Very Negative')::float8 - 0.5 * (p->>'Negative')::float8
           + 0.5 * (p->>'Positive')::float8 + (p->>'Very Positive')::float8)) < 1e-5) AS score,
       bool_and(ecommerce_ml.predict_sentiment(body, 'sst') = CASE
           WHEN (p->>'Very Negative')::float8 + (p->>'Negative')::float8 >= greatest((p->>'Neutral')::float8, (p->>'Positive')::float8 + (p->>'Very Positive')::float8) THEN 'negative'
           WHEN (p->>'Neutral')::float8 >= (p->>'Positive')::float8 + (p->>'Very Positive')::float8 THEN 'neutral'
           ELSE 'positive' END) AS sentiment,
       bool_and(abs(ecommerce_ml.predict_sentiment_score(body, 'sst') + ecommerce_ml.predict_sentiment_score(body, 'upside_down')) < 1e-5) AS mirrored
FROM (SELECT body, ecommerce_ml.predict_probabilities(body, 'sst') AS p FROM texts) AS predicted;
SELECT (ecommerce_ml.summarize_reviews(body, 'sst')).reviews FROM texts;
SELECT ecommerce_ml.predict_rating('Good.', 'sst');
SELECT ecommerce_ml.predict_sentiment('Good.', 'mixed');
-- Their own names are what they are evaluated by.
CREATE TABLE marked AS SELECT body, ecommerce_ml.predict_class(body, 'sst') AS label FROM texts;
SELECT metric, value FROM ecommerce_ml.evaluate_model('sst', 'marked', 'body', 'label') WHERE metric IN ('accuracy', 'mae');
