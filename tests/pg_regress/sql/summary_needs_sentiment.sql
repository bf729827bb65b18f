-- A model that can't tell sentiments apart is refused as by predict_sentiment, and the session goes on.
\set classifier 'file://' :models '/bert-classification-3'
\set regression 'file://' :models '/bert-regression'
\set embedding 'file://' :models '/bert-embedding'
SELECT ecommerce_ml.import_model('colours', :'classifier', '{"labels": ["red", "green", "blue"]}'),
       ecommerce_ml.import_model('prices', :'regression'), ecommerce_ml.import_model('vectors', :'embedding');
CREATE TABLE review AS SELECT i AS id, 'Good, number ' || i AS body FROM generate_series(1, 12) AS i;
SELECT ecommerce_ml.summarize_reviews(body, 'colours') FROM review;
SELECT ecommerce_ml.summarize_reviews(body, 'prices') FROM review;
SELECT ecommerce_ml.summarize_reviews(body, 'vectors') FROM review;
SELECT ecommerce_ml.summarize_reviews(body, 'colours') OVER (ORDER BY id ROWS 1 PRECEDING) FROM review;
SELECT ecommerce_ml.summarize_reviews(body, 'nobody') FROM review;
SELECT ecommerce_ml.summarize_reviews(body, 'No Name') FROM review;
SELECT ecommerce_ml.summarize_reviews(repeat(body, 500000)) FROM review;
SELECT ecommerce_ml.summarize_reviews(body, (ARRAY['reviews', 'colours'])[1 + id % 2]) FROM review GROUP BY id;
DO $$ BEGIN
    PERFORM ecommerce_ml.summarize_reviews(body, 'colours') FROM review;
EXCEPTION WHEN invalid_parameter_value THEN
    RAISE NOTICE 'then by another: %', (SELECT (ecommerce_ml.summarize_reviews(body, 'reviews')).reviews FROM review);
END $$;
-- Support functions are not for SQL. Versions say so in different words.
DO $$
DECLARE
    call text;
BEGIN
    FOREACH call IN ARRAY ARRAY['review_summary_final(NULL)', $q$review_summary_deserialize('\x00', NULL)$q$,
                                $q$summarize_reviews_transition(NULL, 'Good')$q$] LOOP
        BEGIN
            EXECUTE 'SELECT ecommerce_ml.' || call;
            RAISE NOTICE '% was called', call;
        EXCEPTION WHEN undefined_function OR feature_not_supported THEN
            RAISE NOTICE '% is refused', call;
        END;
    END LOOP;
END $$;
