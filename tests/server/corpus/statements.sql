-- Ways to run a query: cursors, prepared statements, functions, copying, locking; and what reading ahead must not change.

-- copy to the client [ordered]
COPY (SELECT id, @any(@text(r)), @any(@text(r)) FROM reviews AS r ORDER BY id) TO STDOUT;
COPY (SELECT id, @label(r.body) FROM reviews AS r WHERE @label(r.body) = 'positive' ORDER BY id) TO STDOUT (FORMAT csv, HEADER);
COPY (UPDATE reviews AS r SET model = @label(r.body) WHERE id < 9 RETURNING id, model) TO STDOUT;

-- copy from a program, with a trigger
CREATE TABLE kept (id int, body text, answer text);
CREATE FUNCTION judge() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.answer := predict_sentiment(NEW.body, 'shop'); RETURN NEW; END $$;
CREATE TRIGGER judge BEFORE INSERT ON kept FOR EACH ROW EXECUTE FUNCTION judge();
COPY kept (id, body) FROM PROGRAM 'printf "1\tI love it\n2\tit broke\n3\t\\\\N\n"';
SELECT * FROM kept;

-- copy from, where
CREATE TABLE kept (id int, body text);
COPY kept FROM PROGRAM 'printf "1\tI love it\n2\tI hate it\n"' WHERE predict_sentiment(body) = 'positive';
SELECT * FROM kept;

-- cursor in steps [ordered]
DECLARE c CURSOR FOR SELECT id, @any(@text(r)) FROM reviews AS r ORDER BY id;
FETCH c;
FETCH 2 FROM c;
FETCH 10 FROM c;
MOVE 30 IN c;
FETCH 3 FROM c;
FETCH ALL FROM c;
FETCH c;

-- cursor without an order [arbitrary]
DECLARE c CURSOR FOR SELECT id, @any(@text(r)) FROM reviews AS r WHERE @label(r.body) <> 'neutral';
FETCH 5 FROM c;
FETCH 1 FROM c;
FETCH FORWARD ALL FROM c;

-- cursor that scrolls [ordered]
DECLARE c SCROLL CURSOR FOR SELECT id, @any(@text(r)) FROM reviews AS r ORDER BY id;
FETCH 20 FROM c;
FETCH BACKWARD 5 FROM c;
FETCH ABSOLUTE 100 FROM c;
FETCH RELATIVE -7 FROM c;
FETCH LAST FROM c;
FETCH PRIOR FROM c;
FETCH FIRST FROM c;
FETCH BACKWARD ALL FROM c;
FETCH FORWARD 4 FROM c;

-- cursor that scrolls over a filter [arbitrary]
DECLARE c SCROLL CURSOR FOR SELECT id FROM reviews AS r WHERE @label(@text(r)) = 'positive';
FETCH 9 FROM c;
FETCH BACKWARD 4 FROM c;
FETCH ALL FROM c;
FETCH BACKWARD ALL FROM c;

-- cursor that must not scroll [ordered]
DECLARE c NO SCROLL CURSOR FOR SELECT id, @any(@text(r)) FROM reviews AS r ORDER BY @number(r.body), id;
FETCH 3 FROM c;
FETCH BACKWARD 2 FROM c;

-- cursor with hold [ordered]
DECLARE c CURSOR WITH HOLD FOR SELECT id, @any(@text(r)) FROM reviews AS r ORDER BY id;
FETCH 5 FROM c;
COMMIT;
FETCH 5 FROM c;
CLOSE c;

-- cursor around a savepoint [ordered]
DECLARE c CURSOR FOR SELECT id, @any(@text(r)) FROM reviews AS r ORDER BY id;
FETCH 5 FROM c;
SAVEPOINT s;
FETCH 20 FROM c;
ROLLBACK TO s;
FETCH 5 FROM c;

-- cursor that sees no later changes [ordered]
DECLARE c CURSOR FOR SELECT id, body, @any(r.body) FROM reviews AS r ORDER BY id;
FETCH 3 FROM c;
UPDATE reviews SET body = 'I hate it';
FETCH 20 FROM c;
DELETE FROM reviews;
FETCH ALL FROM c;

-- two cursors in turn [ordered]
DECLARE a CURSOR FOR SELECT id, @any(@text(r)) FROM reviews AS r ORDER BY id;
DECLARE b CURSOR FOR SELECT id, @any(@text(r)) FROM reviews AS r ORDER BY id DESC;
FETCH 3 FROM a;
FETCH 3 FROM b;
FETCH 30 FROM a;
SELECT predict_sentiment('I love it');
FETCH 30 FROM b;
CLOSE a;
FETCH 2 FROM b;

-- cursor for update
DECLARE c CURSOR FOR SELECT id, predict_sentiment(body) FROM reviews WHERE lang = 'en' FOR UPDATE;
FETCH 3 FROM c;
UPDATE reviews SET body = 'I hate it', model = predict_class(body) WHERE CURRENT OF c RETURNING id, model;
FETCH 2 FROM c;
DELETE FROM reviews WHERE CURRENT OF c RETURNING id;
SELECT id, body, model FROM reviews WHERE id < 40;

-- cursor for current of without a lock
DECLARE c CURSOR FOR SELECT id, predict_sentiment(body) FROM reviews;
FETCH 3 FROM c;
UPDATE reviews SET stars = 77 WHERE CURRENT OF c RETURNING id;
FETCH 4 FROM c;
DELETE FROM reviews WHERE CURRENT OF c RETURNING id;

-- PL/pgSQL, loop that changes the current row
DO $$ DECLARE c CURSOR FOR SELECT id, predict_class(body, 'shop') AS a FROM reviews; BEGIN FOR one IN c LOOP UPDATE reviews SET model = one.a WHERE CURRENT OF c; EXIT WHEN one.id > 50; END LOOP; END $$;
SELECT id, model FROM reviews;

-- PL/pgSQL, loop that changes the current row, locked
DO $$ DECLARE c CURSOR FOR SELECT id, predict_class(body, 'shop') AS a FROM reviews FOR UPDATE; BEGIN FOR one IN c LOOP UPDATE reviews SET model = one.a WHERE CURRENT OF c; EXIT WHEN one.id > 50; END LOOP; END $$;
SELECT id, model FROM reviews;

-- PL/pgSQL, cursor that moves to and fro
CREATE FUNCTION to_and_fro() RETURNS text LANGUAGE plpgsql AS $$ DECLARE c SCROLL CURSOR FOR SELECT id, predict_class(body, 'shop') AS a FROM reviews ORDER BY id; r record; s record; BEGIN OPEN c; MOVE FORWARD 20 FROM c; FETCH PRIOR FROM c INTO r; FETCH RELATIVE 5 FROM c INTO s; RETURN r::text || s::text; END $$;
SELECT to_and_fro();

-- for update
SELECT id, @label(@text(r)) FROM reviews AS r WHERE lang = 'de' AND @label(r.body) <> 'neutral' FOR UPDATE;
SELECT id, @any(r.body) FROM reviews AS r ORDER BY id LIMIT 5 FOR SHARE;

-- for update of a join
SELECT r.id, p.name, @label(r.body) FROM reviews AS r JOIN products AS p ON p.id = r.product_id WHERE r.id < 50 FOR NO KEY UPDATE OF r SKIP LOCKED;

-- prepared, seven times
PREPARE judge (text, int) AS SELECT id, @any(@text(r)), predict_class(body, $1) FROM reviews AS r WHERE id > $2 AND id < $2 + 30;
EXECUTE judge('shop', 1);
EXECUTE judge('reviews', 30);
EXECUTE judge('shop@1', 60);
EXECUTE judge(NULL, 90);
EXECUTE judge('nosuchmodel', 500);
EXECUTE judge('shop', 120);
EXECUTE judge('reviews', 150);
EXECUTE judge('shop', 280);

-- prepared, unknown model at last
PREPARE judge (text) AS SELECT id, predict_class(body, $1) FROM reviews WHERE id < 30;
EXECUTE judge('shop');
EXECUTE judge('nosuchmodel');

-- prepared, text as a parameter
PREPARE judge (text) AS SELECT id, predict_sentiment($1 || ' ' || lang), predict_rating($1), stars FROM reviews WHERE predict_sentiment($1) = 'positive' OR id < 5;
EXECUTE judge('I love it');
EXECUTE judge('I hate it');
EXECUTE judge(NULL);
EXECUTE judge('');
EXECUTE judge('I like it');
EXECUTE judge('it broke');
EXECUTE judge('perfect');

-- prepared, generic plan
SET LOCAL plan_cache_mode = force_generic_plan;
PREPARE judge (text, text) AS SELECT id, @label(@text(r)) FROM reviews AS r WHERE predict_sentiment(body, $2) = $1;
EXECUTE judge('positive', 'reviews');
EXECUTE judge('negative', 'shop');
EXECUTE judge('neutral', NULL);
EXECUTE judge('neutral', 'shop@1');

-- prepared, custom plan
SET LOCAL plan_cache_mode = force_custom_plan;
PREPARE judge (int) AS SELECT id, @any(@text(r)) FROM reviews AS r ORDER BY id LIMIT $1;
EXECUTE judge(3);
EXECUTE judge(30);
EXECUTE judge(NULL);
EXECUTE judge(0);

-- prepared, planned again after a change
PREPARE judge AS SELECT id, @any(r.body) FROM reviews AS r WHERE lang = 'en';
EXECUTE judge;
CREATE INDEX ON reviews (lang) WHERE lang = 'en';
EXECUTE judge;
ALTER TABLE reviews DROP COLUMN stars CASCADE;
EXECUTE judge;

-- prepared, changing
PREPARE change (text) AS UPDATE reviews AS r SET model = @label(r.body) WHERE lang = $1 AND @label(r.body) = 'positive' RETURNING id, model;
EXECUTE change('en');
EXECUTE change('de');

-- PL/pgSQL, loop over a query
CREATE TABLE kept (n serial, id int, answer text);
DO $$ DECLARE one record; BEGIN FOR one IN SELECT id, predict_class(body) AS answer FROM reviews ORDER BY id LOOP INSERT INTO kept (id, answer) VALUES (one.id, one.answer); EXIT WHEN one.id > 130; END LOOP; END $$;
SELECT * FROM kept;

-- PL/pgSQL, loop with a query within
CREATE TABLE kept (id int, answer text, n bigint);
DO $$ DECLARE one record; BEGIN FOR one IN SELECT id, product_id, predict_class(body) AS answer FROM reviews WHERE id < 40 LOOP INSERT INTO kept SELECT one.id, one.answer, count(predict_sentiment(body)) FROM reviews WHERE product_id = one.product_id; END LOOP; END $$;
SELECT * FROM kept;

-- PL/pgSQL, execute
CREATE TABLE kept (id int, answer text);
DO $$ DECLARE lang text; BEGIN FOREACH lang IN ARRAY ARRAY['en', 'de'] LOOP EXECUTE format('INSERT INTO kept SELECT id, predict_sentiment(body) FROM reviews WHERE lang = %L', lang); EXECUTE 'INSERT INTO kept SELECT id, predict_class(body, $1) FROM reviews WHERE lang = $2' USING 'shop', lang; END LOOP; END $$;
SELECT * FROM kept;

-- PL/pgSQL, return query and return next
CREATE FUNCTION judged(wanted text) RETURNS TABLE (n int, answer text) LANGUAGE plpgsql AS $$ DECLARE r record; BEGIN RETURN QUERY SELECT id, predict_sentiment(body) FROM reviews WHERE lang = wanted; FOR r IN EXECUTE 'SELECT id, predict_class(body) AS c FROM reviews WHERE lang = $1' USING wanted LOOP n := r.id; answer := r.c; RETURN NEXT; END LOOP; END $$;
SELECT * FROM judged('en');
SELECT answer, count(*), max(token_count(answer)) FROM judged('de') GROUP BY 1;

-- PL/pgSQL, select into and cursors
CREATE FUNCTION first_answers() RETURNS text LANGUAGE plpgsql AS $$ DECLARE c CURSOR FOR SELECT id, predict_class(body) AS a FROM reviews ORDER BY id; one record; total text := ''; kept text; BEGIN SELECT predict_sentiment(body) INTO kept FROM reviews WHERE id = 1; OPEN c; FOR i IN 1..25 LOOP FETCH c INTO one; total := total || coalesce(one.a, '-') || ' '; END LOOP; CLOSE c; RETURN kept || total; END $$;
SELECT first_answers();
SELECT first_answers() FROM generate_series(1, 7);

-- PL/pgSQL, error caught
CREATE TABLE kept (n serial, id int, answer text);
DO $$ DECLARE one record; BEGIN FOR one IN SELECT id, predict_class(body) AS a FROM reviews ORDER BY id LIMIT 60 LOOP BEGIN IF one.id % 7 = 0 THEN PERFORM predict_class(body, 'nosuchmodel') FROM reviews; END IF; INSERT INTO kept (id, answer) VALUES (one.id, one.a); EXCEPTION WHEN undefined_object THEN INSERT INTO kept (id, answer) VALUES (one.id, 'caught'); END; END LOOP; END $$;
SELECT id, answer FROM kept;

-- PL/pgSQL, call within an expression
CREATE FUNCTION doubled(t text) RETURNS text LANGUAGE plpgsql STABLE AS $$ DECLARE a text := predict_sentiment(t); BEGIN IF predict_rating(t) > 3 THEN RETURN a || '+'; END IF; RETURN a || (SELECT predict_class(b.body) FROM reviews AS b WHERE b.id = 1); END $$;
SELECT id, doubled(body), predict_sentiment(body) FROM reviews;

-- procedure that commits between rows
CREATE TABLE kept (id int, answer text);
CREATE PROCEDURE judge_all() LANGUAGE plpgsql AS $$ DECLARE one record; BEGIN FOR one IN SELECT id, predict_class(body) AS a FROM reviews ORDER BY id LIMIT 40 LOOP INSERT INTO kept VALUES (one.id, one.a); IF one.id % 10 = 0 THEN COMMIT; END IF; END LOOP; END $$;
COMMIT;
CALL judge_all();
SELECT * FROM kept;
DROP TABLE kept;
DROP PROCEDURE judge_all();

-- SQL functions, inlined and not
SELECT id, verdict(body), verdict_opaque(body), verdict_plpgsql(body) FROM reviews WHERE verdict(@text(reviews)) = 'positive';
CREATE FUNCTION total(wanted text) RETURNS bigint LANGUAGE sql AS $$ INSERT INTO labels SELECT predict_sentiment(body), id FROM reviews WHERE lang = wanted; SELECT count(*) FROM labels WHERE sentiment = 'positive' $$;
SELECT total('en'), total('de');
CREATE FUNCTION newer(r reviews) RETURNS text LANGUAGE sql STABLE BEGIN ATOMIC SELECT predict_class(r.body, 'shop'); END;
SELECT r.id, r.newer, newer(r) FROM reviews AS r WHERE newer(r) <> 'neutral';

-- set-returning SQL function, read in part [ordered]
CREATE FUNCTION lazily() RETURNS SETOF text LANGUAGE sql VOLATILE AS $$ SELECT predict_class(body, CASE WHEN id > 100 THEN 'nosuchmodel' ELSE 'shop' END) FROM reviews $$;
SELECT lazily() LIMIT 5;

-- sequence in the target list under a limit [arbitrary]
SELECT setval('counter', 100);
SELECT nextval('counter'), id, @any(@text(r)) FROM reviews AS r LIMIT 7;
SELECT nextval('counter');

-- sequence below a call under a limit [arbitrary]
SELECT setval('counter', 100);
SELECT s.n, @any(s.body) FROM (SELECT nextval('counter') AS n, body FROM reviews OFFSET 0) AS s LIMIT 7;
SELECT nextval('counter');

-- sequence in a condition below a call under a limit [arbitrary]
SELECT setval('counter', 100);
SELECT id, @any(r.body) FROM reviews AS r WHERE nextval('counter') % 2 = 0 LIMIT 7;
SELECT nextval('counter');

-- sequence within a text
SELECT setval('counter', 100);
SELECT id, @any(r.lang || nextval('counter')) FROM reviews AS r LIMIT 7;
SELECT nextval('counter');

-- sequence within a text, in a condition
SELECT setval('counter', 100);
SELECT id FROM reviews AS r WHERE predict_class(lang || nextval('counter'), 'shop') = predict_class(lang, 'shop') AND id < 40;
SELECT nextval('counter');

-- sequence beside a filter
SELECT setval('counter', 100);
SELECT nextval('counter'), id FROM reviews AS r WHERE @label(r.body) = 'positive' LIMIT 5;
SELECT nextval('counter');

-- sequence in an inserted default [arbitrary]
SELECT setval('counter', 100);
CREATE TABLE kept (n int DEFAULT nextval('counter'), answer text);
INSERT INTO kept (answer) SELECT @label(r.body) FROM reviews AS r WHERE @label(r.body) <> 'neutral' LIMIT 20 RETURNING *;
SELECT nextval('counter');

-- cursor over a sequence, left early [arbitrary]
SELECT setval('counter', 100);
DECLARE c CURSOR FOR SELECT nextval('counter'), @any(r.body) FROM reviews AS r;
FETCH 6 FROM c;
SELECT nextval('counter');
FETCH 2 FROM c;

-- function with an effect in a condition [arbitrary]
CREATE FUNCTION seen(n int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM nextval('counter'); RETURN n % 2 = 0; END $$;
SELECT setval('counter', 100);
SELECT id, @any(r.body) FROM reviews AS r WHERE seen(id) AND @label(r.body) IS NOT NULL LIMIT 6;
SELECT nextval('counter');

-- random numbers beside a call [arbitrary]
SELECT setseed(0.5);
SELECT id, random(), @any(@text(r)) FROM reviews AS r;
SELECT random();

-- random numbers in a condition [arbitrary]
SELECT setseed(0.5);
SELECT id, @any(@text(r)) FROM reviews AS r WHERE random() < 0.3 AND @label(r.body) <> 'neutral';

-- random order [arbitrary]
SELECT setseed(0.25);
SELECT id, @any(@text(r)) FROM reviews AS r ORDER BY random() LIMIT 20;

-- random numbers within a text [arbitrary]
SELECT setseed(0.25);
SELECT id, predict_class(lang || round(random() * 5), 'shop') FROM reviews;
SELECT random();

-- role under a policy
SET LOCAL ROLE visitor;
SELECT id, @any(r.body) FROM reviews_guarded AS r WHERE lang = 'en';
SELECT count(*), max(@number(r.body)) FROM reviews_guarded AS r WHERE @label(r.body) = 'positive';
UPDATE reviews_guarded SET stars = token_count(body) WHERE predict_rating(body) > 2 RETURNING id, stars;
DELETE FROM reviews_guarded WHERE predict_class(body) = '5 stars' RETURNING id;

-- role under a policy, check of new rows
SET LOCAL ROLE visitor;
INSERT INTO reviews_guarded SELECT * FROM reviews WHERE predict_sentiment(body, 'shop') = 'negative';

-- view with a security barrier
CREATE VIEW fenced WITH (security_barrier) AS SELECT * FROM reviews WHERE predict_sentiment(body, 'shop') <> 'negative';
CREATE FUNCTION leaky(t text) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS $$ BEGIN INSERT INTO labels VALUES (t, -9); RETURN true; END $$;
SELECT id FROM fenced WHERE leaky(body) AND predict_sentiment(body) IS NOT NULL;
SELECT sentiment FROM labels WHERE weight = -9;

-- row locks of a limit
SELECT id, @any(r.body) FROM reviews AS r WHERE @label(r.body) <> 'neutral' ORDER BY id LIMIT 3 FOR UPDATE;

-- explained without running
EXPLAIN (COSTS OFF) SELECT id FROM reviews WHERE id = 7;
SELECT count(*) FROM pg_prepared_statements;

-- tables that change between statements
SELECT id, @any(r.body) FROM reviews AS r WHERE id < 30;
ALTER TABLE reviews ADD COLUMN more text DEFAULT 'I love it';
SELECT id, @any(r.more), @any(r.body) FROM reviews AS r WHERE id < 30;
ALTER TABLE reviews DROP COLUMN lang CASCADE;
SELECT r, @any(r.body) FROM reviews AS r WHERE id < 30;
TRUNCATE reviews;
SELECT id, @any(r.body) FROM reviews AS r;

-- temporary functions and types of answers
CREATE TYPE judgement AS (sentiment text, rating real);
CREATE DOMAIN verdict_name AS text CHECK (value <> 'none');
SELECT id, ROW(predict_sentiment(body), predict_rating(body))::judgement FROM reviews;
SELECT id, (ROW(predict_sentiment(body), predict_rating(body))::judgement).rating, predict_sentiment(body)::verdict_name FROM reviews;
