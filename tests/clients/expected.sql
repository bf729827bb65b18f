-- What the clients' answers are compared with: what psql shows, a file for each query in the folder :folder.
-- Run by psql -A -F TAB as analyst.
\set ON_ERROR_STOP on
\pset footer off
\pset null '\\N'

\set file :folder '/texts.tsv'
\o :file
SELECT id, ecommerce_ml.predict_sentiment(body) AS sentiment, ecommerce_ml.predict_sentiment_score(body) AS score,
       ecommerce_ml.predict_rating(body) AS stars, ecommerce_ml.predict_class(body) AS class,
       ecommerce_ml.predict_confidence(body) AS confidence, ecommerce_ml.predict_probabilities(body) AS probabilities
FROM reviews ORDER BY id;

\set file :folder '/moods.tsv'
\o :file
SELECT id, ecommerce_ml.predict_sentiment(body, 'moods') AS sentiment FROM reviews ORDER BY id;

\set file :folder '/kept.tsv'
\o :file
SELECT id, mood, mood_model FROM reviews ORDER BY id;

\set file :folder '/rows.tsv'
\o :file
SELECT id, ecommerce_ml.predict_class(v, 'buyers') AS class, ecommerce_ml.predict_probabilities(v, 'buyers') AS probabilities
FROM visits AS v ORDER BY id;

\set file :folder '/means.tsv'
\o :file
SELECT product_id, count(*) AS reviews, avg(ecommerce_ml.predict_sentiment_score(body)) AS score,
       count(*) FILTER (WHERE ecommerce_ml.predict_sentiment(body) = 'negative') AS negative
FROM reviews GROUP BY product_id ORDER BY product_id;

\set file :folder '/summaries.tsv'
\o :file
SELECT product_id, (ecommerce_ml.summarize_reviews(body)).* FROM reviews GROUP BY product_id ORDER BY product_id;

\set file :folder '/embeddings.tsv'
\o :file
SELECT id, ecommerce_ml.embed(body) AS embedding FROM reviews WHERE id IN (1, 2, 201) ORDER BY id;

\set file :folder '/what_if.tsv'
\o :file
SELECT pages, ecommerce_ml.predict_class(jsonb_build_object('pages', pages, 'country', 'AT'), 'buyers') AS class,
       ecommerce_ml.predict_confidence(jsonb_build_object('pages', pages, 'country', 'AT'), 'buyers') AS confidence
FROM generate_series(0, 9) AS pages;

\set file :folder '/failures.tsv'
\o :file
SELECT name, statement, f.* FROM failing, failure(statement) AS f ORDER BY name;
