{{ config(materialized='table') }}
SELECT product_id, (summary).*
FROM (
    SELECT product_id, ecommerce_ml.summarize_reviews(body) AS summary
    FROM {{ source('shop', 'feedback') }} GROUP BY product_id
) AS summaries
