SELECT id, product_id, posted,
       ecommerce_ml.predict_sentiment(body) AS sentiment,
       ecommerce_ml.predict_sentiment_score(body) AS score,
       ecommerce_ml.predict_rating(body) AS stars
FROM {{ source('shop', 'feedback') }}
