-- Groups that are collected side by side, and one after the other, and grouping sets.
CREATE TABLE review AS
    SELECT i % 5 AS product, i % 3 AS shop, (ARRAY['I love it', 'It broke', 'It is okay'])[1 + i % 3] || ', number ' || i % 10 AS body
    FROM generate_series(1, 90) AS i;
ANALYZE review;
SET max_parallel_workers_per_gather = 0;
SET enable_sort = off;
EXPLAIN (COSTS OFF) SELECT product, ecommerce_ml.summarize_reviews(body) AS s FROM review GROUP BY product;
CREATE TABLE hashed AS SELECT product, ecommerce_ml.summarize_reviews(body) AS s FROM review GROUP BY product;
RESET enable_sort;
SET enable_hashagg = off;
EXPLAIN (COSTS OFF) SELECT product, ecommerce_ml.summarize_reviews(body) AS s FROM review GROUP BY product;
CREATE TABLE sorted AS SELECT product, ecommerce_ml.summarize_reviews(body) AS s FROM review GROUP BY product;
RESET enable_hashagg;
SELECT product, (h.s).reviews, (h.s).stars, h.s = s.s AS same
FROM hashed h JOIN sorted s USING (product) ORDER BY product;
SELECT product, shop, (s).reviews, (s).positive FROM
    (SELECT product, shop, ecommerce_ml.summarize_reviews(body) AS s FROM review GROUP BY CUBE (product, shop)) AS cube
WHERE product IS NULL OR product = 2 ORDER BY product, shop;
-- The same state serves two columns, and each group its own.
SELECT product, (ecommerce_ml.summarize_reviews(body)).reviews, (ecommerce_ml.summarize_reviews(body)).positive
FROM review GROUP BY product HAVING (ecommerce_ml.summarize_reviews(body)).negative > 5 ORDER BY product;
-- A group for each row of another table.
SELECT p, (s).reviews FROM generate_series(0, 2) AS p,
    LATERAL (SELECT ecommerce_ml.summarize_reviews(body) AS s FROM review WHERE product = p) AS summary;
