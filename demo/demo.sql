-- Run by `make demo` in database demo of the private cluster, with the clone as working directory.
-- The table is made and read once; a second run only shows it.

\set QUIET on
\pset footer off
\pset null '-'
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS ecommerce_ml;

\echo
\echo '== A text in, a verdict out'
SELECT text,
       ecommerce_ml.predict_sentiment(text)                          AS sentiment,
       round(ecommerce_ml.predict_sentiment_score(text)::numeric, 2) AS score,
       round(ecommerce_ml.predict_rating(text)::numeric, 1)          AS rating
FROM (VALUES ('Arrived two days early and it works perfectly, my kids love it!'),
             ('It is a kettle. It boils water.'),
             ('Broke after one week and nobody answers my mails. Never again.')) AS example(text);

SELECT to_regclass('reviews') IS NULL AS first_run \gset
\if :first_run
\echo '== Loading 1000 reviews of groceries, and reading each one (a minute or two on two cores)'
BEGIN;
CREATE TABLE reviews (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    product_id text NOT NULL,
    review     text NOT NULL,
    great      boolean NOT NULL,  -- five stars, as the customer gave them; the model doesn't see it
    sentiment  text,
    score      real,
    rating     real
);
\copy reviews (product_id, review, great) FROM 'demo/reviews.csv' WITH (FORMAT csv, HEADER)
\timing on
UPDATE reviews
SET sentiment = ecommerce_ml.predict_sentiment(review),
    score     = ecommerce_ml.predict_sentiment_score(review),
    rating    = ecommerce_ml.predict_rating(review);
\timing off
COMMIT;
VACUUM ANALYZE reviews;
\echo
\endif

\echo '== The first reviews, as the model reads them'
SELECT product_id, left(review, 60) || '...' AS review, sentiment,
       round(score::numeric, 2) AS score, round(rating::numeric, 1) AS rating
FROM reviews ORDER BY id LIMIT 5;

\echo '== What customers write about, and how they feel about it'
SELECT topic, count(*) AS reviews,
       round(avg(score)::numeric, 2) AS avg_score,
       count(*) FILTER (WHERE sentiment = 'negative') AS negative
FROM reviews JOIN unnest('{coffee,tea,chocolate,dog,cat,price,shipping,"gluten free"}'::text[]) AS topic
     ON review ~* ('\m' || topic || 's?\M')
GROUP BY topic ORDER BY avg_score DESC;

\echo '== The ten angriest reviews'
SELECT product_id, round(score::numeric, 2) AS score, left(review, 90) || '...' AS review
FROM reviews ORDER BY score, id LIMIT 10;

\echo '== Does it agree with the customers? (the model has not seen their stars)'
SELECT CASE WHEN great THEN 'five stars' ELSE 'one to four stars' END AS customer,
       count(*) AS reviews, round(avg(rating)::numeric, 2) AS avg_rating
FROM reviews GROUP BY great ORDER BY great DESC;

-- The sample has no dates, and one review of each product. So that there is something to report on, products are what is written
-- about, dates are made up, and the angry reviews of coffee and chocolate are moved to the last quarter.
CREATE OR REPLACE VIEW dated_reviews AS
SELECT product, review,
       CASE WHEN product IN ('coffee', 'chocolate') AND sentiment = 'negative' THEN date '2011-10-01' + (id % 92)::int
            ELSE date '2010-01-01' + (id * 7919 % 730)::int END AS written
FROM reviews JOIN unnest('{coffee,tea,chocolate,sauce,oil,cookies}'::text[]) AS product ON review ~* ('\m' || product || '?\M');

\echo '== Per product (this sample has one review of each; yours will have more)'
SELECT product_id, count(*) AS reviews, round(avg(score)::numeric, 2) AS avg_score
FROM reviews GROUP BY product_id ORDER BY reviews DESC, avg_score, product_id LIMIT 5;
