{{ config(materialized='incremental', unique_key='id') }}
-- A model is named with its version, so that a deploy is a change of this file and a --full-refresh.
SELECT id, product_id, posted,
       ecommerce_ml.predict_sentiment(body, 'reviews@1') AS sentiment,
       ecommerce_ml.predict_sentiment_score(body, 'reviews@1') AS score,
       'reviews@1' AS model
FROM {{ source('shop', 'feedback') }}
{% if is_incremental() %}
WHERE id > (SELECT coalesce(max(id), 0) FROM {{ this }})
{% endif %}
