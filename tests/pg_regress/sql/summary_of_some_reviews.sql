-- DISTINCT, FILTER and ORDER BY inside the call.
CREATE TABLE review AS
    SELECT i AS id, (ARRAY['I love it!', 'It broke, terrible!', 'It is okay.'])[1 + i % 3] AS body FROM generate_series(1, 30) AS i;
SELECT (s).reviews, (s).negative, (s).positive FROM
    (SELECT ecommerce_ml.summarize_reviews(DISTINCT body) AS s FROM review) AS summary;
SELECT (s).reviews, (s).negative, (s).positive FROM
    (SELECT ecommerce_ml.summarize_reviews(body) FILTER (WHERE id <= 10) AS s FROM review) AS summary;
SELECT (s).reviews, (s).negative, (s).positive FROM
    (SELECT ecommerce_ml.summarize_reviews(body, 'reviews' ORDER BY id DESC) AS s FROM review) AS summary;
SELECT (s).reviews FROM (SELECT ecommerce_ml.summarize_reviews(DISTINCT body, 'reviews') AS s FROM review) AS summary;
