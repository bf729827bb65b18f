-- Run by `make demo` in database demo of the private cluster, with the clone as working directory.
-- Everything is made once; a second run only shows it.

\set QUIET on
\pset footer off
\pset null '-'
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS ecommerce_ml;
SELECT to_regclass('reviews') IS NULL AS first_run \gset

\if :first_run
\echo
\echo '== 1000 reviews of groceries: loading them, and reading each one with the built-in model'
CREATE TABLE reviews (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    product_id text NOT NULL,
    review     text NOT NULL,
    great      boolean NOT NULL  -- five stars, as the customer gave them; the model doesn't see it
);
\copy reviews (product_id, review, great) FROM 'demo/reviews.csv' WITH (FORMAT csv, HEADER)
\timing on
CREATE TABLE scored AS
SELECT id, product_id, review, great,
       ecommerce_ml.predict_sentiment(review)       AS sentiment,
       ecommerce_ml.predict_sentiment_score(review) AS score,
       ecommerce_ml.predict_rating(review)          AS rating
FROM reviews;
\timing off
\endif

\echo
\echo '== A text in, a verdict out'
SELECT text,
       ecommerce_ml.predict_sentiment(text)                       AS sentiment,
       round(ecommerce_ml.predict_sentiment_score(text)::numeric, 2) AS score,
       round(ecommerce_ml.predict_rating(text)::numeric, 1)       AS rating
FROM (VALUES ('Arrived two days early and it works perfectly, my kids love it!'),
             ('It is a kettle. It boils water.'),
             ('Broke after one week and nobody answers my mails. Never again.')) AS example(text);

\echo '== The first reviews, as the model reads them'
SELECT left(review, 60) || '...' AS review, sentiment,
       round(score::numeric, 2) AS score, round(rating::numeric, 1) AS rating
FROM scored ORDER BY id LIMIT 5;

\echo '== The most reviewed products'
SELECT product_id, count(*) AS reviews,
       round(avg(score)::numeric, 2) AS avg_score,
       round(avg(rating)::numeric, 2) AS avg_rating,
       count(*) FILTER (WHERE sentiment = 'negative') AS negative
FROM scored GROUP BY product_id ORDER BY reviews DESC, product_id LIMIT 8;

\echo '== The ten angriest reviews'
SELECT product_id, round(score::numeric, 2) AS score, left(review, 90) || '...' AS review
FROM scored ORDER BY score, id LIMIT 10;

\echo '== Does it agree with the customers?'
SELECT CASE WHEN great THEN 'five stars' ELSE 'one to four stars' END AS customer,
       count(*) AS reviews, round(avg(score)::numeric, 2) AS avg_score
FROM scored GROUP BY great ORDER BY great DESC;
