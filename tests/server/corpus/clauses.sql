-- Where in one SELECT a call can stand. `@any(text)` and its like become a call, `@text(alias)` a text of that row.

-- target list
SELECT id, @any(@text(r)) FROM reviews AS r;

-- target list, several functions of one text
SELECT id, predict_sentiment(body), predict_sentiment_score(body), predict_rating(body), predict_class(body) FROM reviews;

-- target list, all functions
SELECT id, tokenize(body), token_ids(body), token_count(body), predict_probabilities(body), embed(body, 'shop'), predict_value(body, 'points') FROM reviews WHERE id <= 60;

-- target list, several texts
SELECT @any(@text(r)), id, @any(@text(r)), @any(@text(r)) FROM reviews AS r;

-- target list, equal calls repeated
SELECT predict_rating(body), id, predict_rating(body), predict_rating(body) + 1, 2 * predict_rating(body) FROM reviews;

-- target list, call within an expression
SELECT id, 'is ' || @label(@text(r)) || '!', (@number(@text(r)) * 2)::numeric(12, 4), @label(r.body) IN ('positive', 'negative') FROM reviews AS r;

-- target list, call with a NULL literal
SELECT id, predict_sentiment(NULL::text), predict_sentiment(body, NULL), @any(r.body) FROM reviews AS r;

-- target list, call of a literal only
SELECT predict_sentiment('I love it'), predict_rating('I hate it'), token_count('');

-- target list, call of a literal for every row
SELECT id, predict_sentiment('I love it'), @any(@text(r)) FROM reviews AS r;

-- target list, whole row and system columns
SELECT r, r.tableoid::regclass, r.ctid, @any(r.body) FROM reviews AS r;

-- target list, nested call
SELECT id, predict_sentiment('about ' || token_count(body) || ' words'), predict_class(predict_class(body), 'shop') FROM reviews;

-- target list, doubly nested call
SELECT id, predict_class(predict_sentiment(body) || token_count(upper(body) || predict_class(body, 'shop'))) FROM reviews WHERE id < 150;

-- target list, array forms beside scalar ones
SELECT id, predict_class(ARRAY[body, upper(body)], 'shop'), @any(r.body), (predict_rating(ARRAY[body]))[1] FROM reviews AS r;

-- target list, other types of text
SELECT id, @any(r.body::varchar), predict_class(r.body::varchar(5), 'shop'), predict_class(r.lang::char(9)), predict_class(r.lang::name::text) FROM reviews AS r;

-- target list, concatenated columns
SELECT id, @any(concat(r.lang, ' ', r.body, ' ', r.stars)), @any(format('%s: %s', r.stars, r.body)) FROM reviews AS r;

-- where
SELECT id, body FROM reviews AS r WHERE @label(@text(r)) = 'positive';

-- where, number
SELECT id FROM reviews AS r WHERE @number(@text(r)) > 2;

-- where, is null
SELECT id, body FROM reviews AS r WHERE @any(@text(r)) IS NULL;

-- where, cheap condition first
SELECT id FROM reviews AS r WHERE lang = 'en' AND @label(@text(r)) <> 'negative' AND stars > 2;

-- where, two calls
SELECT id FROM reviews AS r WHERE @label(r.body) = 'positive' AND @number(r.body) > 0.1;

-- where, and the same call in the target list
SELECT id, predict_sentiment(body) FROM reviews WHERE predict_sentiment(body) IN ('positive', 'neutral');

-- where, and another call in the target list
SELECT id, @any(@text(r)) FROM reviews AS r WHERE @label(@text(r)) <> 'neutral';

-- where, or
SELECT id FROM reviews AS r WHERE lang = 'de' OR @label(@text(r)) = 'positive';

-- where, not
SELECT id FROM reviews AS r WHERE NOT (@label(@text(r)) = 'positive' AND stars > 2);

-- where, between, any, array
SELECT id FROM reviews AS r WHERE @number(r.body) BETWEEN -0.5 AND 3.5 AND @label(r.body) = ANY (ARRAY['positive', '5 stars', 'negative']);

-- where, never true
SELECT id, @any(r.body) FROM reviews AS r WHERE @number(@text(r)) > 1000000;

-- where, one time condition
SELECT id, @any(r.body) FROM reviews AS r WHERE (SELECT count(*) FROM labels) > 100;

-- where, by index
SELECT id, @any(@text(r)) FROM reviews AS r WHERE id IN (3, 77, 150, 19, 299);

-- where, compared with a column
SELECT id FROM reviews AS r WHERE round(predict_rating(body)) = stars;

-- order by a call [ordered]
SELECT id FROM reviews AS r ORDER BY @any(@text(r)), id;

-- order by a call, descending [ordered]
SELECT id, body FROM reviews AS r ORDER BY @number(@text(r)) DESC NULLS LAST, id;

-- order by a call of the target list [ordered]
SELECT id, @any(@text(r)) AS answer FROM reviews AS r ORDER BY answer, id;

-- order by a column [ordered]
SELECT id, @any(@text(r)) FROM reviews AS r ORDER BY id DESC;

-- order by two calls [ordered]
SELECT id FROM reviews AS r ORDER BY @label(r.body) NULLS FIRST, @number(r.body) DESC, id;

-- order by a call, top [ordered]
SELECT id, body FROM reviews AS r WHERE body IS NOT NULL ORDER BY @number(@text(r)) DESC, id LIMIT 7;

-- limit [arbitrary]
SELECT id, @any(@text(r)) FROM reviews AS r LIMIT 10;

-- limit with a filter [arbitrary]
SELECT id FROM reviews AS r WHERE @label(@text(r)) = 'positive' LIMIT 5;

-- limit, ordered [ordered]
SELECT id, @any(@text(r)) FROM reviews AS r ORDER BY id LIMIT 20;

-- limit, none and all
(SELECT id, @label(r.body) FROM reviews AS r LIMIT 0) UNION ALL (SELECT id, @label('so: ' || r.body) FROM reviews AS r LIMIT ALL);

-- limit that a call gives [ordered]
SELECT id, @any(r.body) FROM reviews AS r ORDER BY id LIMIT token_count('three');

-- offset [ordered]
SELECT id, @any(@text(r)) FROM reviews AS r ORDER BY id OFFSET 290;

-- offset and limit [arbitrary]
SELECT id, @any(@text(r)) FROM reviews AS r OFFSET 37 LIMIT 11;

-- fetch first with ties [ordered]
SELECT @label(@text(r)) AS answer FROM reviews AS r ORDER BY answer FETCH FIRST 4 ROWS WITH TIES;

-- fetch first with ties after an offset [arbitrary]
SELECT stars, @number(r.body) FROM reviews AS r ORDER BY stars OFFSET 3 FETCH FIRST 5 ROWS WITH TIES;

-- group by a call
SELECT @label(@text(r)), count(*) FROM reviews AS r GROUP BY 1;

-- group by a call and a column
SELECT lang, @any(@text(r)), count(*), min(id) FROM reviews AS r GROUP BY 1, 2;

-- group by a column, call of the column
SELECT lang, @any(r.lang), count(*) FROM reviews AS r GROUP BY lang;

-- group by, call of an aggregate
SELECT lang, @label(max(r.body)), @number(string_agg(DISTINCT r.lang, ' ')) FROM reviews AS r GROUP BY lang;

-- having
SELECT product_id FROM reviews AS r GROUP BY product_id HAVING avg(predict_sentiment_score(body)) > 0.1;

-- having, call of an aggregate
SELECT product_id, max(body) FROM reviews AS r GROUP BY product_id HAVING @label(max(r.body)) <> 'negative';

-- having without groups
SELECT count(*) FROM reviews AS r HAVING max(@number(r.body)) > 0;

-- distinct
SELECT DISTINCT @label(@text(r)) FROM reviews AS r;

-- distinct of several columns
SELECT DISTINCT lang, @any(@text(r)) FROM reviews AS r;

-- distinct on [ordered]
SELECT DISTINCT ON (predict_sentiment(body)) predict_sentiment(body), id FROM reviews ORDER BY predict_sentiment(body), id;

-- distinct on a column [ordered]
SELECT DISTINCT ON (lang) lang, id, @any(r.body) FROM reviews AS r ORDER BY lang, @number(r.body) DESC NULLS LAST, id;

-- grouping sets
SELECT lang, @label(@text(r)) AS answer, count(*) FROM reviews AS r GROUP BY GROUPING SETS ((lang, answer), (answer), ());

-- rollup
SELECT lang, predict_sentiment(body) AS sentiment, count(*), grouping(lang, predict_sentiment(body)) FROM reviews GROUP BY ROLLUP (lang, predict_sentiment(body));

-- cube
SELECT stars, @label(r.body) AS answer, count(*), round(avg(@number(r.body))::numeric, 4) FROM reviews AS r GROUP BY CUBE (1, 2);

-- no table
SELECT n, @any('text number ' || n) FROM generate_series(1, 40) AS n;

-- no rows
SELECT id, @any(@text(r)) FROM reviews_empty AS r;

-- no rows, aggregated
SELECT count(*), max(@number(@text(r))) FROM reviews_empty AS r;

-- one row
SELECT id, @any(@text(r)), @any(@text(r)) FROM reviews_one AS r;

-- stars only
TABLE reviews_judged;
