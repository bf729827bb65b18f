-- What must not be evaluated early, what raises an error, and how a model can be named. A query that fails must fail with
-- batches as it does without; one that doesn't reach the offending row must not fail.

-- case
SELECT id, CASE WHEN lang = 'en' THEN @label(@text(r)) WHEN lang = 'de' THEN upper(@label(@text(r))) ELSE 'other' END FROM reviews AS r;

-- case, condition calls
SELECT id, CASE WHEN @label(@text(r)) = 'positive' THEN 1 WHEN @number(r.body) > 0 THEN 2 ELSE 3 END FROM reviews AS r;

-- case of a call
SELECT id, CASE predict_sentiment(body) WHEN 'positive' THEN 'good' WHEN 'negative' THEN 'bad' END FROM reviews;

-- case, arm never taken
SELECT id, CASE WHEN lang = 'xx' THEN predict_class(body, 'nosuchmodel') ELSE @label(r.body) END FROM reviews AS r;

-- case, arm taken by the last row only
SELECT id, CASE WHEN id = 300 THEN predict_class(body, 'nosuchmodel') ELSE 'fine' END FROM reviews;

-- case, arm divides
SELECT id, CASE WHEN id <> 50 THEN predict_class(substr(body, 1, 20 / (id - 50) + 100), 'shop') END FROM reviews;

-- case in where
SELECT id FROM reviews AS r WHERE CASE WHEN stars IS NULL THEN false WHEN stars > 9 THEN predict_class(body, 'nosuchmodel') = 'x' ELSE @label(r.body) = 'positive' END;

-- case around an aggregate's argument
SELECT sum(CASE WHEN lang = 'en' THEN @number(r.body)::numeric WHEN lang = 'xx' THEN token_count(body, 'nosuchmodel') ELSE 0 END) FROM reviews AS r;

-- case as a text
SELECT id, @any(CASE WHEN stars > 2 THEN body ELSE lang END) FROM reviews AS r;

-- case within case, call also outside
SELECT id, predict_class(body, 'shop'), CASE WHEN stars > 2 THEN CASE WHEN lang = 'en' THEN predict_class(body, 'shop') END END FROM reviews;

-- coalesce
SELECT id, coalesce(@label(@text(r)), 'blank') FROM reviews AS r;

-- coalesce, arm never reached
SELECT id, coalesce(lang, predict_class(body, 'nosuchmodel')), coalesce(@label(r.body), lang) FROM reviews AS r;

-- nullif, greatest, least
SELECT id, nullif(@label(r.body), 'neutral'), greatest(@number(r.body), 1), least(token_count(body), predict_rating(body)) FROM reviews AS r;

-- and, arm never reached
SELECT id FROM reviews AS r WHERE lang = 'xx' AND predict_class(body, 'nosuchmodel') = 'x';

-- and in the target list
SELECT id, lang = 'xx' AND predict_class(body, 'nosuchmodel') = 'x', lang = 'en' AND @label(r.body) = 'positive' FROM reviews AS r;

-- or in the target list
SELECT id, id > 0 OR predict_class(body, 'nosuchmodel') = 'x', stars > 2 OR @label(r.body) = 'positive' FROM reviews AS r;

-- or, arm never reached
SELECT id FROM reviews WHERE lang IS NOT NULL OR predict_class(body, 'nosuchmodel') = 'x';

-- strict operators
SELECT id, (@label(r.body) = 'positive') IS NOT TRUE, @label(r.body) IS DISTINCT FROM 'positive', (@label(r.body) || NULL) IS NULL FROM reviews AS r;

-- array, row, and json of calls
SELECT id, ARRAY[@label(r.body), lang], ROW(@number(r.body), id), jsonb_build_object('a', @any(r.body)) FROM reviews AS r;

-- element, field, cast
SELECT id, (@array(r.body))[2], @json(r.body) ->> 'positive', @number(r.body)::text, array_length(embed(body, 'shop'), 1) FROM reviews AS r;

-- array coerced and compared
SELECT id, token_ids(body)::bigint[], 'kettle' = ANY (tokenize(body)) FROM reviews WHERE 'kettle' = ANY (tokenize(body));

-- unknown model
SELECT id, predict_class(body, 'nosuchmodel') FROM reviews;

-- unknown model in where
SELECT id FROM reviews WHERE predict_sentiment(body, 'nosuchmodel') = 'positive';

-- unknown model, no rows
SELECT id, predict_class(body, 'nosuchmodel') FROM reviews_empty;

-- unknown model, all filtered
SELECT id, predict_class(body, 'nosuchmodel') FROM reviews WHERE id < 0;

-- unknown model, no text
SELECT id, predict_class(body, 'nosuchmodel') FROM reviews WHERE body IS NULL;

-- unknown model of nothing
SELECT id, predict_class(NULL, 'nosuchmodel'), predict_class(body, NULL) FROM reviews;

-- unknown model, limit of none
SELECT id, predict_class(body, 'nosuchmodel') FROM reviews LIMIT 0;

-- unknown version
SELECT id, predict_class(body, 'shop@99') FROM reviews WHERE id > 290;

-- name that is none
SELECT id, predict_class(body, 'no such@model@') FROM reviews WHERE id > 290;

-- meaningless function
SELECT id, predict_rating(body, 'points') FROM reviews;

-- meaningless function in an aggregate
SELECT lang, max(predict_value(body)) FROM reviews GROUP BY lang;

-- meaningless function of blank texts
SELECT id, predict_value(body) FROM reviews WHERE btrim(body, E' \t\n') = '';

-- model in a column
SELECT id, model, predict_class(body, model), token_count(body, model) FROM reviews;

-- model in a column, where
SELECT id FROM reviews WHERE predict_sentiment(body, model) = 'positive';

-- model in a column, aggregated
SELECT model, lang, max(predict_sentiment_score(body, model)), count(DISTINCT predict_class(body, model)) FROM reviews GROUP BY 1, 2;

-- model in an expression
SELECT id, predict_class(body, CASE WHEN stars > 3 THEN 'reviews' ELSE 'shop' END) FROM reviews;

-- model from a table
SELECT r.id, predict_class(r.body, m.name) FROM reviews AS r CROSS JOIN (VALUES ('shop'), ('reviews'), ('shop@1')) AS m (name) WHERE r.id < 100;

-- model from a subquery
SELECT id, predict_class(body, (SELECT name FROM models WHERE name = 'shop')) FROM reviews;

-- model in a column, unknown for some rows
SELECT id, predict_class(body, CASE WHEN id % 100 = 0 THEN 'nosuchmodel' ELSE model END) FROM reviews;

-- model in a column, unknown beyond the limit [arbitrary]
SELECT id, predict_class(body, CASE WHEN id > 10 THEN 'nosuchmodel' ELSE 'shop' END) FROM reviews LIMIT 10;

-- model in a column, unknown within the limit [arbitrary]
SELECT id, predict_class(body, CASE WHEN id > 9 THEN 'nosuchmodel' ELSE 'shop' END) FROM reviews LIMIT 10;

-- model in a column, unknown behind the first match [arbitrary]
SELECT p.id FROM products AS p WHERE p.id = 2 AND EXISTS (SELECT FROM reviews AS r WHERE predict_class(r.body, CASE WHEN r.id > 40 THEN 'nosuchmodel' ELSE 'shop' END) IS NOT NULL);

-- model in a column, unknown for rows without text
SELECT id, predict_class(body, CASE WHEN body IS NULL THEN 'nosuchmodel' ELSE 'shop' END) FROM reviews;

-- text that divides by zero
SELECT id, @any(r.body || 100 / (id - 250)) FROM reviews AS r;

-- text that divides by zero beyond the limit [arbitrary]
SELECT id, @any(r.lang || 100 / (id - 12)) FROM reviews AS r LIMIT 10;

-- text that divides by zero within the limit [arbitrary]
SELECT id, @any(r.lang || 100 / (id - 10)) FROM reviews AS r LIMIT 10;

-- text that divides by zero behind a call
SELECT id FROM reviews WHERE id <> 30 AND predict_class(lang || 100 / (id - 30), 'shop') IS NOT NULL;

-- condition that divides by zero beyond the limit [arbitrary]
SELECT id, @any(r.lang) FROM reviews AS r WHERE 100 / (id - 12) > -1000 LIMIT 10;

-- result that divides by zero
SELECT id, 1 / (token_count(body) - 5) FROM reviews;

-- result that divides by zero beyond the limit [arbitrary]
SELECT id, 1 / (token_count('a text') + id - 13) FROM reviews LIMIT 5;

-- result that is no number
SELECT id, @label(r.body)::int FROM reviews AS r;

-- neighbour that divides by zero beyond the limit [arbitrary]
SELECT id, @any(r.lang), 100 / (id - 12) FROM reviews AS r LIMIT 10;

-- subquery that gives two rows
SELECT id, @any((SELECT sentiment FROM labels WHERE weight > 0)) FROM reviews AS r;

-- text too long
SELECT id, predict_class(repeat(lang, 40000000), 'shop') FROM reviews WHERE id = 1;
