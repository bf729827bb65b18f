-- The models of the extension can be replaced by another version, but not dropped.
SELECT ecommerce_ml.drop_model('reviews');
SELECT ecommerce_ml.drop_model('reviews', 1);
SELECT ecommerce_ml.rollback_model('reviews');
SELECT ecommerce_ml.revoke_model('reviews', 'public');
SELECT name, version, live, sha256 IS NULL AS built_in FROM ecommerce_ml.model_versions ORDER BY name COLLATE "C";
-- That of two languages answers where it is named, and where a session says so.
SELECT ecommerce_ml.drop_model('reviews_multilingual');
SELECT text, ecommerce_ml.predict_sentiment(text, 'reviews_multilingual') AS sentiment, ecommerce_ml.predict_rating(text, 'reviews_multilingual') BETWEEN 1 AND 5 AS stars
FROM unnest('{"I love it, works perfectly!", "Arrived broken, and nobody answers.", 质量很好，非常满意, 质量太差了，非常失望}'::text[]) AS text;
-- The small one reads what its teacher reads.
SELECT ecommerce_ml.drop_model('reviews_small');
SELECT text, ecommerce_ml.predict_sentiment(text, 'reviews_small') AS sentiment, ecommerce_ml.predict_rating(text, 'reviews_small') BETWEEN 1 AND 5 AS stars
FROM unnest('{"I love it, works perfectly!", "Arrived broken, and nobody answers.", 😡}'::text[]) AS text;
SET ecommerce_ml.default_model = 'reviews_multilingual';
SELECT ecommerce_ml.predict_probabilities('not what I expected') = ecommerce_ml.predict_probabilities('not what I expected', 'reviews_multilingual') AS same,
       ecommerce_ml.predict_probabilities('not what I expected') = ecommerce_ml.predict_probabilities('not what I expected', 'reviews') AS like_reviews;
