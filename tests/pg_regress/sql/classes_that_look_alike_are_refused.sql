-- What differs only in case or in what is around it would count as another class.
CREATE TABLE judged (predicted text, actual text, trimmed text);
INSERT INTO judged VALUES ('neg', 'NEG', 'neg'), ('pos', 'pos', 'pos'), ('pos', E'pos\u200b', 'pos');
SELECT ecommerce_ml.evaluate_predictions('judged', 'predicted', 'actual');
SELECT metric, value FROM ecommerce_ml.evaluate_predictions('judged', 'predicted', 'trimmed') WHERE metric = 'accuracy';
