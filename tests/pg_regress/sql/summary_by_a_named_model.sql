-- The model may differ from row to row. One whose labels mean no stars leaves them unknown.
\pset null '(null)'
\set classifier 'file://' :models '/bert-classification-3'
\set stars 'file://' :models '/bert-stars-sharded'
SELECT ecommerce_ml.import_model('stars', :'stars'), ecommerce_ml.import_model('moods', :'classifier');
CREATE TABLE review AS SELECT i AS id, 'Good, number ' || i AS body FROM generate_series(1, 12) AS i;
SELECT (s).reviews, (s).negative + (s).neutral + (s).positive AS sum, (s).mean_score BETWEEN -1 AND 1 AS score, (s).mean_rating, (s).stars
FROM (SELECT ecommerce_ml.summarize_reviews(body, 'moods') AS s FROM review) AS summary;
SELECT (s).reviews, (s).mean_rating BETWEEN 1 AND 5 AS rating, cardinality((s).stars) AS stars
FROM (SELECT ecommerce_ml.summarize_reviews(body, 'stars@1') AS s FROM review) AS summary;
SELECT (s).reviews, (SELECT sum(star) FROM unnest((s).stars) AS star) AS with_stars
FROM (SELECT ecommerce_ml.summarize_reviews(body, (ARRAY['moods', 'stars', 'reviews', NULL])[1 + id % 4]) AS s FROM review) AS summary;
SET ecommerce_ml.default_model = 'moods';
SELECT (ecommerce_ml.summarize_reviews(body)).stars FROM review;
SELECT id, (ecommerce_ml.summarize_reviews(body, (ARRAY['moods', 'stars'])[1 + id % 2]) OVER (ORDER BY id ROWS 1 PRECEDING)).reviews
FROM review WHERE id < 4;
