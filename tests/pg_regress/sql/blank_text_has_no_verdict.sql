-- Nothing can be said of nothing: NULL, and no tokens.
\pset null '(null)'
SELECT ecommerce_ml.predict_sentiment(text), ecommerce_ml.predict_sentiment_score(text), ecommerce_ml.predict_rating(text),
       ecommerce_ml.predict_class(text), ecommerce_ml.predict_probabilities(text), ecommerce_ml.embed(text)
FROM (VALUES (''), ('   '), (E'\t\n')) AS blank(text);
SELECT ecommerce_ml.tokenize(''), ecommerce_ml.token_ids('  '), ecommerce_ml.token_count(E'\n');
