-- The built-in model reads stars, sentiment and score from a text.
SELECT ecommerce_ml.predict_sentiment('I love it, great quality!');
SELECT ecommerce_ml.predict_sentiment('Terrible. It broke at once, I want my money back.');
SELECT ecommerce_ml.predict_class('I love it, great quality!');
SELECT ecommerce_ml.predict_sentiment_score('I love it, great quality!') > 0.5 AS score_is_high,
       ecommerce_ml.predict_rating('I love it, great quality!') > 4 AS many_stars;
SELECT ecommerce_ml.predict_sentiment_score('Terrible. It broke at once, I want my money back.') < -0.5 AS score_is_low,
       ecommerce_ml.predict_rating('Terrible. It broke at once, I want my money back.') < 2 AS few_stars;
SELECT label, round(sum(value::numeric) OVER (), 3) AS sum
FROM jsonb_each_text(ecommerce_ml.predict_probabilities('fine')) AS p(label, value) ORDER BY label;
