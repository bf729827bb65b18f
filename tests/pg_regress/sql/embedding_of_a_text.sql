-- Embeddings have length 1, and texts of like meaning are near each other.
CREATE FUNCTION cosine(a real[], b real[]) RETURNS numeric LANGUAGE sql
    RETURN (SELECT round(sum(x * y)::numeric, 3) FROM unnest(a, b) AS pair(x, y));
SELECT cardinality(vector) AS dimensions, cosine(vector, vector) AS norm
FROM ecommerce_ml.embed('The kettle is broken') AS vector;
SELECT cosine(ecommerce_ml.embed('The kettle is broken'), ecommerce_ml.embed('The kettle does not work any more'))
     > cosine(ecommerce_ml.embed('The kettle is broken'), ecommerce_ml.embed('My children love the colours')) AS near;
SELECT jsonb_array_length(ecommerce_ml.embed(ARRAY['one', NULL, 'two'])) AS rows,
       ecommerce_ml.embed(ARRAY['one', NULL, 'two']) -> 1 AS of_null;
