-- Where the node stands, and what stays below it.
SET search_path = public, ecommerce_ml;
CREATE TABLE reviews (id int PRIMARY KEY, product text, lang text, body text);
INSERT INTO reviews VALUES
    (1, 'kettle', 'en', 'Boils fast, I love it!'), (2, 'kettle', 'en', 'Broke after a week.'),
    (3, 'lamp', 'de', 'It is a lamp.'), (4, 'lamp', 'en', NULL), (5, 'lamp', 'en', 'Broke after a week.');
CREATE TABLE labels (sentiment text, weight int);
INSERT INTO labels VALUES ('positive', 1), ('negative', -1);
ANALYZE reviews, labels;
SET max_parallel_workers_per_gather = 0;

EXPLAIN (COSTS OFF, VERBOSE) SELECT id, predict_sentiment(body), predict_rating(body) FROM reviews WHERE lang = 'en' AND predict_sentiment(body) = 'negative';
SELECT id, predict_sentiment(body), round(predict_rating(body)) FROM reviews WHERE lang = 'en' AND predict_sentiment(body) = 'negative' ORDER BY id;

-- Arguments and filters of aggregates, groups.
EXPLAIN (COSTS OFF) SELECT predict_sentiment(body), avg(predict_rating(body)) FILTER (WHERE lang = 'en') FROM reviews GROUP BY 1;

-- What only the target list needs is read for rows that pass.
EXPLAIN (COSTS OFF) SELECT embed(body) FROM reviews WHERE predict_sentiment(body) = 'negative' LIMIT 3;

-- Joins, windows, set-returning functions, functions in FROM.
SET enable_mergejoin = off;
EXPLAIN (COSTS OFF) SELECT weight FROM reviews JOIN labels ON sentiment = predict_sentiment(body);
EXPLAIN (COSTS OFF) SELECT avg(predict_rating(body)) OVER (ORDER BY id) FROM reviews;
EXPLAIN (COSTS OFF) SELECT id, unnest(tokenize(body)) FROM reviews;
EXPLAIN (COSTS OFF) SELECT id, key FROM reviews, jsonb_each(predict_probabilities(body));

-- Statements that change tables.
EXPLAIN (COSTS OFF) UPDATE reviews SET lang = predict_sentiment(body) WHERE id > 2;
EXPLAIN (COSTS OFF) INSERT INTO labels SELECT predict_sentiment(body), id FROM reviews;

-- Row by row: arms that may be skipped, locked rows, conditions with effects in a query that may stop early, and if told so.
EXPLAIN (COSTS OFF) SELECT CASE WHEN lang = 'en' THEN predict_sentiment(body) END FROM reviews;
EXPLAIN (COSTS OFF) SELECT predict_sentiment(body) FROM reviews FOR UPDATE;
CREATE SEQUENCE counted;
EXPLAIN (COSTS OFF) SELECT predict_sentiment(body) FROM reviews WHERE nextval('counted') > 0;
EXPLAIN (COSTS OFF) SELECT avg(predict_rating(body)) FROM reviews WHERE nextval('counted') > 0;
EXPLAIN (COSTS OFF) SELECT predict_sentiment(body) FROM reviews WHERE random() < 2;
SET ecommerce_ml.batch_execution = off;
EXPLAIN (COSTS OFF) SELECT predict_sentiment(body) FROM reviews;
