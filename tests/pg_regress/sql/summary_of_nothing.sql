-- No rows are no reviews: counts are 0, means and stars are unknown.
\pset null '(null)'
CREATE TABLE review (product text, body text);
SELECT (ecommerce_ml.summarize_reviews(body)).* FROM review;
SELECT (ecommerce_ml.summarize_reviews(body, 'reviews')).* FROM review;
SELECT product, ecommerce_ml.summarize_reviews(body) FROM review GROUP BY product;
SELECT (ecommerce_ml.rollup(s)).* FROM (SELECT NULL::ecommerce_ml.review_summary AS s WHERE false) AS none;
SELECT ecommerce_ml.summarize_reviews(body) FILTER (WHERE false) FROM (VALUES ('I love it')) AS one(body);
-- No model is asked, so it isn't looked for.
SELECT ecommerce_ml.summarize_reviews(body, 'no_such_model') FROM review;
