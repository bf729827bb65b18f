-- Calls over all that rows can come from, and in what combines queries.

-- partitioned table
SELECT id, tableoid::regclass, @any(@text(r)) FROM reviews_parts AS r;

-- partitioned table, where
SELECT id FROM reviews_parts AS r WHERE @label(@text(r)) = 'positive';

-- partitioned table, one partition
SELECT id, @any(@text(r)) FROM reviews_parts AS r WHERE lang = 'en' AND @number(r.body) > 0;

-- partitioned table, grouped
SELECT lang, @label(r.body), count(*) FROM reviews_parts AS r GROUP BY 1, 2;

-- partitioned table, ordered by a call [ordered]
SELECT id FROM reviews_parts AS r ORDER BY @number(@text(r)), id LIMIT 25;

-- partitioned table, joined
SELECT r.id, p.name, @any(r.body) FROM reviews_parts AS r JOIN products AS p ON p.id = r.product_id WHERE @label(r.body) <> 'neutral';

-- partition
SELECT id, @any(@text(r)) FROM reviews_de_1 AS r;

-- foreign table
SELECT id, @any(@text(r)) FROM reviews_remote AS r;

-- foreign table, where
SELECT id FROM reviews_remote AS r WHERE lang = 'de' AND @label(@text(r)) = 'positive';

-- foreign table, joined and grouped
SELECT p.category, @label(r.body), count(*) FROM reviews_remote AS r JOIN products AS p ON p.id = r.product_id GROUP BY 1, 2;

-- foreign tables, joined remotely
SELECT a.id, @any(a.body || b.lang) FROM reviews_remote AS a JOIN reviews_remote AS b ON a.id = b.id WHERE a.id < 80;

-- foreign table, limited [ordered]
SELECT id, @any(@text(r)) FROM reviews_remote AS r ORDER BY id LIMIT 15;

-- view
SELECT id, @any(@text(r)) FROM reviews_view AS r;

-- view that calls
SELECT sentiment, count(*), round(avg(rating)::numeric, 3) FROM reviews_judged GROUP BY sentiment;

-- view that calls, filtered by its call
SELECT id, lang FROM reviews_judged WHERE sentiment = 'negative' AND rating < 4;

-- materialized view
SELECT id, @any(@text(r)) FROM reviews_matview AS r WHERE @label(r.body) <> 'neutral';

-- dropped and added columns
SELECT w.*, @any(w.body), @any(w.added) FROM reviews_wide AS w;

-- policy, as the owner
SELECT id, @any(r.body) FROM reviews_guarded AS r;

-- values
SELECT v.n, @any(v.t) FROM (VALUES (1, 'I love it'), (2, NULL), (3, ''), (4, 'it broke'), (5, 'it broke')) AS v (n, t);

-- values that call
VALUES (1, predict_sentiment('I love it')), (2, predict_sentiment('I hate it')), (3, predict_class(NULL::text));

-- generated series
SELECT n, @any('number ' || n % 7) FROM generate_series(1, 100) AS n WHERE @number('number ' || n % 7) > 0;

-- series in the target list
SELECT id, generate_series(1, 3), @any(@text(r)) FROM reviews AS r WHERE id < 100;

-- series as long as a call says
SELECT id, generate_series(1, least(token_count(body), 4)) FROM reviews;

-- pieces in the target list
SELECT id, unnest(@array(@text(r))) FROM reviews AS r WHERE id < 100;

-- pieces and a call beside them
SELECT id, unnest(tokenize(body)), @any(r.body), unnest(token_ids(body)) FROM reviews AS r WHERE id < 60;

-- probabilities in rows
SELECT id, (jsonb_each(@json(@text(r)))).* FROM reviews AS r WHERE id < 100;

-- probabilities in rows, from
SELECT id, key, round(value::numeric, 4) FROM reviews AS r, jsonb_each(@json(r.body)) WHERE value::float > 0.3;

-- pieces counted
SELECT piece, count(*) FROM (SELECT unnest(tokenize(body)) AS piece FROM reviews) AS s GROUP BY piece;

-- call of pieces
SELECT DISTINCT piece, @any(piece) FROM (SELECT unnest(tokenize(body)) AS piece FROM reviews WHERE id < 70) AS s;

-- table sample
SELECT id, @any(@text(r)) FROM reviews AS r TABLESAMPLE BERNOULLI (40) REPEATABLE (7) WHERE @label(r.body) <> 'neutral';

-- system sample
SELECT count(*), count(DISTINCT @label(r.body)) FROM reviews AS r TABLESAMPLE SYSTEM (50) REPEATABLE (3);

-- by place
SELECT id, @any(r.body) FROM reviews AS r WHERE ctid = ANY (ARRAY['(0,1)', '(0,5)', '(1,2)']::tid[]);

-- by a range of places
SELECT id, @any(r.body) FROM reviews AS r WHERE ctid < '(1,0)';

-- rows from several functions
SELECT * FROM ROWS FROM (unnest(tokenize('I love the kettle')), unnest(token_ids('I love the kettle'))) AS t (piece, id);

-- json and xml tables
SELECT j.body, @any(j.body) FROM jsonb_to_recordset('[{"body": "I love it"}, {"body": "it broke"}, {"body": null}]') AS j (body text);

-- function in from
SELECT * FROM reviews_in('en') WHERE class <> 'neutral';

-- opaque function in from
SELECT class, count(*) FROM reviews_in_opaque('de') GROUP BY class;

-- function that calls
SELECT id, verdict(@text(r)) FROM reviews AS r WHERE verdict(r.body) <> 'neutral';

-- opaque functions that call
SELECT id, verdict_opaque(body), verdict_plpgsql(body), @any(r.body) FROM reviews AS r WHERE id < 80;

-- union
SELECT @label(@text(r)) FROM reviews AS r UNION SELECT sentiment FROM labels;

-- union all
SELECT id, @label(@text(r)) FROM reviews AS r WHERE lang = 'en' UNION ALL SELECT id, @label(@text(p)) FROM reviews_parts AS p WHERE lang = 'de';

-- union all, ordered and limited [ordered]
(SELECT id, @label(r.body) AS answer FROM reviews AS r) UNION ALL (SELECT id, name FROM products) ORDER BY id, answer LIMIT 40;

-- call over a union
SELECT u.t, @any(u.t) FROM (SELECT body FROM reviews UNION SELECT description FROM products) AS u (t);

-- call over a union all
SELECT u.n, @any(u.t) FROM (SELECT id, body FROM reviews UNION ALL SELECT id, description FROM products) AS u (n, t) WHERE @label(u.t) <> 'neutral';

-- intersect
SELECT @label(@text(r)) FROM reviews AS r INTERSECT SELECT sentiment FROM labels;

-- intersect all
SELECT predict_sentiment(body) FROM reviews INTERSECT ALL SELECT sentiment FROM labels;

-- except
SELECT sentiment FROM labels EXCEPT SELECT @label(@text(r)) FROM reviews AS r;

-- except all
SELECT predict_class(body) FROM reviews EXCEPT ALL SELECT predict_class(body) FROM reviews_view;

-- common table expression
WITH judged AS (SELECT id, @any(@text(r)) AS answer FROM reviews AS r) SELECT answer, count(*) FROM judged GROUP BY answer;

-- materialized common table expression
WITH judged AS MATERIALIZED (SELECT id, lang, @label(@text(r)) AS answer FROM reviews AS r) SELECT a.id, b.answer FROM judged AS a JOIN judged AS b USING (id) WHERE a.answer = 'positive';

-- common table expression read twice
WITH judged AS (SELECT id, @label(r.body) AS answer FROM reviews AS r) SELECT count(*) FROM judged AS a JOIN judged AS b ON a.id = b.id AND a.answer = b.answer;

-- call of a materialized common table expression
WITH chosen AS MATERIALIZED (SELECT * FROM reviews WHERE stars > 3) SELECT id, @any(@text(s)) FROM chosen AS s WHERE @label(s.body) <> 'neutral';

-- partly read common table expression [arbitrary]
WITH judged AS MATERIALIZED (SELECT id, predict_class(body, CASE WHEN id < 150 THEN 'shop' ELSE 'nosuchmodel' END) AS class FROM reviews) SELECT * FROM judged LIMIT 3;

-- recursion over calls
WITH RECURSIVE chain (n, t) AS (SELECT 1, 'I love it' UNION ALL SELECT n + 1, t || ' ' || @label(t) FROM chain WHERE n < 8) SELECT * FROM chain;

-- recursion, call of its rows
WITH RECURSIVE t (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM t WHERE n < 50) SELECT n, @any('row ' || n % 9) FROM t;

-- recursion, joined
WITH RECURSIVE t (id, class) AS (SELECT id, predict_class(body, 'shop') FROM reviews WHERE id = 1 UNION ALL SELECT r.id, predict_class(r.body, 'shop') FROM t JOIN reviews AS r ON r.id = t.id + 1 WHERE r.id < 40) SELECT * FROM t;

-- catalogue
SELECT relname, @any(relname::text) FROM pg_class WHERE relname LIKE 'reviews%' AND relkind IN ('r', 'v');
