-- Rows that it returns are failures.
SELECT product_id FROM {{ ref('by_product') }} WHERE negative + neutral + positive <> reviews
