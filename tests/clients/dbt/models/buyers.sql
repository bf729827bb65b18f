{{ config(materialized='table') }}
SELECT id, ecommerce_ml.predict_class(v, 'buyers') AS class
FROM {{ source('shop', 'visits') }} AS v
