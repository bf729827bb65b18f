-- Calls in and around aggregates and window functions.

-- average
SELECT round(avg(@number(@text(r)))::numeric, 4) FROM reviews AS r;

-- average by group
SELECT product_id, round(avg(@number(@text(r)))::numeric, 4) FROM reviews AS r WHERE lang = 'en' GROUP BY 1;

-- average as it is [arbitrary]
SELECT lang, avg(predict_sentiment_score(body)), stddev(predict_rating(body)) FROM reviews GROUP BY lang;

-- count of values and of distinct values
SELECT lang, count(@any(@text(r))), count(DISTINCT @any(@text(r))) FROM reviews AS r GROUP BY lang;

-- filter
SELECT lang, count(*) FILTER (WHERE @label(@text(r)) = 'positive'), max(@number(r.body)) FILTER (WHERE stars > 2) FROM reviews AS r GROUP BY lang;

-- filter and argument
SELECT sum(token_count(body)) FILTER (WHERE predict_sentiment(body) = 'negative') FROM reviews;

-- ordered inside
SELECT string_agg(@label(@text(r)), ',' ORDER BY @number(r.body) DESC NULLS LAST, id) FROM reviews AS r;

-- ordered inside by group
SELECT stars, array_agg(@label(r.body) ORDER BY id) FROM reviews AS r GROUP BY stars;

-- distinct inside
SELECT string_agg(DISTINCT @label(@text(r)), ',') FROM reviews AS r WHERE id < 100;

-- same distinct and ordered call inside
SELECT array_agg(DISTINCT predict_class(body) ORDER BY predict_class(body)) FROM reviews;

-- ordered-set aggregate
SELECT mode() WITHIN GROUP (ORDER BY @label(@text(r))), percentile_disc(0.5) WITHIN GROUP (ORDER BY @number(r.body)) FROM reviews AS r;

-- direct argument of an ordered-set aggregate
SELECT rank(0.5::real) WITHIN GROUP (ORDER BY predict_sentiment_score(body)) FROM reviews;

-- several aggregates of one call
SELECT min(predict_rating(body)), max(predict_rating(body)), round(avg(predict_rating(body))::numeric, 4), count(predict_rating(body)) FROM reviews;

-- aggregate in an expression with a call
SELECT lang, max(stars) || @label(lang || max(r.body)) FROM reviews AS r GROUP BY lang;

-- jsonb and object aggregates
SELECT jsonb_object_agg(id, @any(r.body)) FROM reviews AS r WHERE id < 80;

-- array of arrays
SELECT sum(cardinality(@array(@text(r)))) FROM reviews AS r;

-- summary of reviews
SELECT lang, summarize_reviews(@text(r)), count(*) FILTER (WHERE predict_sentiment(body) = 'positive') FROM reviews AS r GROUP BY lang;

-- summary by a named model, of filtered rows
SELECT product_id, (summarize_reviews(body, 'shop') FILTER (WHERE @label(r.body) <> 'neutral')).positive FROM reviews AS r GROUP BY product_id;

-- merged summaries
SELECT rollup(s) FROM (SELECT @label(r.body) AS answer, summarize_reviews(body) AS s FROM reviews AS r GROUP BY 1) AS parts;

-- summary in a window
SELECT id, (summarize_reviews(body, 'shop') OVER (PARTITION BY @label(r.body) ORDER BY id ROWS 5 PRECEDING)).reviews FROM reviews AS r;

-- boolean aggregates
SELECT product_id, bool_or(@label(r.body) = 'negative'), bool_and(@number(r.body) > 0) FROM reviews AS r GROUP BY 1;

-- aggregate over a subquery that calls
SELECT sentiment, count(*), min(id) FROM (SELECT id, @label(@text(r)) AS sentiment FROM reviews AS r) AS s GROUP BY sentiment;

-- aggregate over a fenced subquery that calls
SELECT sentiment, count(*) FROM (SELECT @label(@text(r)) AS sentiment FROM reviews AS r OFFSET 0) AS s GROUP BY sentiment;

-- window argument
SELECT id, sum(@number(@text(r))::numeric) OVER (PARTITION BY lang) FROM reviews AS r;

-- window order
SELECT id, rank() OVER (ORDER BY @number(@text(r)) DESC NULLS LAST) FROM reviews AS r;

-- window partition
SELECT id, count(*) OVER (PARTITION BY @label(@text(r))) FROM reviews AS r;

-- window partition and order
SELECT id, row_number() OVER (PARTITION BY @label(r.body) ORDER BY @number(r.body), id) FROM reviews AS r;

-- window frame
SELECT id, count(*) OVER (ORDER BY @number(r.body) RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW), max(stars) OVER (ORDER BY id ROWS BETWEEN 3 PRECEDING AND 2 FOLLOWING) FROM reviews AS r;

-- window frame by groups
SELECT id, array_agg(id) OVER (ORDER BY @label(r.body), id GROUPS BETWEEN 1 PRECEDING AND 1 FOLLOWING EXCLUDE CURRENT ROW) FROM reviews AS r;

-- window filter
SELECT id, count(*) FILTER (WHERE @label(@text(r)) = 'positive') OVER (PARTITION BY product_id ORDER BY id) FROM reviews AS r;

-- lag and lead of a call
SELECT id, lag(@label(r.body)) OVER w, lead(@number(r.body), 2) OVER w, first_value(@label(r.body)) OVER w FROM reviews AS r WINDOW w AS (PARTITION BY lang ORDER BY id);

-- call beside a window function
SELECT id, @any(@text(r)), row_number() OVER (ORDER BY id) FROM reviews AS r;

-- call of a window function
SELECT id, @any('rank ' || rank() OVER (ORDER BY stars NULLS FIRST)) FROM reviews AS r;

-- two windows
SELECT id, rank() OVER (PARTITION BY lang ORDER BY @number(r.body)), ntile(4) OVER (ORDER BY @number(r.body), id) FROM reviews AS r;

-- window over an aggregate of calls
SELECT lang, round(avg(predict_rating(body))::numeric, 4), rank() OVER (ORDER BY round(avg(predict_rating(body))::numeric, 4)) FROM reviews GROUP BY lang;

-- window below a limit [ordered]
SELECT id, row_number() OVER (ORDER BY @number(r.body), id) AS place FROM reviews AS r ORDER BY place LIMIT 12;

-- run condition of a window
SELECT id FROM (SELECT id, row_number() OVER (ORDER BY @number(r.body), id) AS place FROM reviews AS r) AS s WHERE place <= 9;

-- best of each group [ordered]
SELECT DISTINCT ON (product_id) product_id, id, first_value(id) OVER (PARTITION BY product_id ORDER BY @number(r.body), id) FROM reviews AS r ORDER BY product_id, id;
