-- summarize_reviews says of many texts what the functions of text say of each.
CREATE TABLE review (id int GENERATED ALWAYS AS IDENTITY, product text, body text);
INSERT INTO review (product, body) VALUES
    ('kettle', 'I love it, great quality!'), ('kettle', 'It broke at once, terrible!'),
    ('kettle', 'I love it, great quality!'), ('lamp', 'Beautiful light, I love it!'),
    ('lamp', 'Perfect, best lamp ever!'), ('lamp', 'It is okay, nothing special.');
SELECT product, (ecommerce_ml.summarize_reviews(body)).reviews FROM review GROUP BY product ORDER BY product;
CREATE VIEW judged AS
    SELECT id, product, ecommerce_ml.predict_sentiment(body) AS sentiment, ecommerce_ml.predict_rating(body) AS rating,
           ecommerce_ml.predict_sentiment_score(body) AS score FROM review;
SELECT product, (s).reviews, (s).negative, (s).neutral, (s).positive, (s).stars,
       round((s).mean_score::numeric, 4) AS mean_score, round((s).mean_rating::numeric, 4) AS mean_rating
FROM (SELECT product, ecommerce_ml.summarize_reviews(body) AS s FROM review GROUP BY product) AS summary
ORDER BY product;
SELECT product, count(*), count(*) FILTER (WHERE sentiment = 'negative') AS negative,
       count(*) FILTER (WHERE sentiment = 'neutral') AS neutral, count(*) FILTER (WHERE sentiment = 'positive') AS positive,
       ARRAY(SELECT count(*) FILTER (WHERE round(j.rating) = star)
             FROM judged j, generate_series(1, 5) AS star WHERE j.product = judged.product
             GROUP BY star ORDER BY star) AS stars,
       round(avg(score)::numeric, 4) AS mean_score, round(avg(rating)::numeric, 4) AS mean_rating
FROM judged GROUP BY product ORDER BY product;
-- For tools that want plain columns.
SELECT (ecommerce_ml.summarize_reviews(body)).* FROM review WHERE false;
CREATE VIEW plain AS SELECT product, (s).* FROM
    (SELECT product, ecommerce_ml.summarize_reviews(body) AS s FROM review GROUP BY product) AS summary;
SELECT product, reviews, positive, stars[5] FROM plain ORDER BY product;
