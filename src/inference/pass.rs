//! What a text can go through, and the request for it. Invariant: two functions of the same pass, model and text are
//! answered by one forward pass.

use ecommerce_ml_protocol::{ModelRef, RequestBody, TokenDetail};

use crate::guc;

/// Most texts to embed in one request, so that the widest embeddings fit into a reply.
const MOST_EMBEDDINGS: usize = 256;

/// What the engine does with a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// The model and its head.
    Predict,
    /// The model without its head.
    Embed,
    /// Only the tokenizer.
    Tokenize(TokenDetail),
}

impl Pass {
    /// The request that sends texts through.
    pub fn request(self, model: &ModelRef, texts: Vec<String>) -> RequestBody {
        let model = model.clone();
        match self {
            Pass::Predict => RequestBody::Predict { model, texts },
            Pass::Embed => RequestBody::Embed { model, texts },
            Pass::Tokenize(detail) => RequestBody::Tokenize { model, texts, detail },
        }
    }

    /// Most texts in one request.
    pub fn most_texts(self) -> usize {
        match self {
            Pass::Embed => guc::batch_size().min(MOST_EMBEDDINGS),
            Pass::Predict | Pass::Tokenize(_) => guc::batch_size(),
        }
    }
}
