"""A BERT encoder with its two tasks: Devlin et al., BERT, 2019."""

import math

VOCABULARY, LENGTH = 17, 10


def build(torch):
    nn, F = torch.nn, torch.nn.functional

    class BertEmbeddings(nn.Module):
        def __init__(self, vocab_size, hidden, max_len, type_vocab=2, dropout=0.0):
            super().__init__()
            self.word_embeddings = nn.Embedding(vocab_size, hidden, padding_idx=0)
            self.position_embeddings = nn.Embedding(max_len, hidden)
            self.token_type_embeddings = nn.Embedding(type_vocab, hidden)
            self.LayerNorm = nn.LayerNorm(hidden, eps=1e-12)
            self.dropout = nn.Dropout(dropout)
            self.register_buffer("position_ids", torch.arange(max_len).unsqueeze(0), persistent=False)

        def forward(self, input_ids, token_type_ids):
            words = self.word_embeddings(input_ids)
            places = self.position_embeddings(self.position_ids[:, : input_ids.size(1)])
            return self.dropout(self.LayerNorm(words + places + self.token_type_embeddings(token_type_ids)))

    class BertSelfAttention(nn.Module):
        def __init__(self, hidden, heads, dropout=0.0):
            super().__init__()
            self.heads, self.size = heads, hidden // heads
            self.query = nn.Linear(hidden, hidden)
            self.key = nn.Linear(hidden, hidden)
            self.value = nn.Linear(hidden, hidden)
            self.dropout = nn.Dropout(dropout)

        def split(self, x):
            return x.view(*x.shape[:-1], self.heads, self.size).permute(0, 2, 1, 3)

        def forward(self, x, mask):
            q, k, v = self.split(self.query(x)), self.split(self.key(x)), self.split(self.value(x))
            scores = torch.matmul(q, k.transpose(-1, -2)) / math.sqrt(self.size) + mask
            context = torch.matmul(self.dropout(nn.Softmax(dim=-1)(scores)), v)
            return context.permute(0, 2, 1, 3).contiguous().flatten(2)

    class BertLayer(nn.Module):
        def __init__(self, hidden, heads, inner):
            super().__init__()
            self.attention = BertSelfAttention(hidden, heads)
            self.attention_output = nn.Linear(hidden, hidden)
            self.attention_norm = nn.LayerNorm(hidden, eps=1e-12)
            self.intermediate = nn.Linear(hidden, inner)
            self.output = nn.Linear(inner, hidden)
            self.output_norm = nn.LayerNorm(hidden, eps=1e-12)

        def forward(self, x, mask):
            x = self.attention_norm(x + self.attention_output(self.attention(x, mask)))
            return self.output_norm(x + self.output(F.gelu(self.intermediate(x))))

    class BertPooler(nn.Module):
        def __init__(self, hidden):
            super().__init__()
            self.dense = nn.Linear(hidden, hidden)
            self.activation = nn.Tanh()

        def forward(self, x):
            return self.activation(self.dense(x[:, 0]))

    class BertForPreTraining(nn.Module):
        def __init__(self, vocab_size, hidden=12, heads=3, layers=2, inner=20, max_len=16):
            super().__init__()
            self.embeddings = BertEmbeddings(vocab_size, hidden, max_len)
            self.encoder = nn.ModuleList(BertLayer(hidden, heads, inner) for _ in range(layers))
            self.pooler = BertPooler(hidden)
            self.transform = nn.Sequential(nn.Linear(hidden, hidden), nn.GELU(), nn.LayerNorm(hidden, eps=1e-12))
            self.decoder = nn.Linear(hidden, vocab_size, bias=False)
            self.decoder.weight = self.embeddings.word_embeddings.weight
            self.bias = nn.Parameter(torch.zeros(vocab_size))
            self.seq_relationship = nn.Linear(hidden, 2)
            self.apply(self.init_weights)

        @staticmethod
        def init_weights(module):
            if isinstance(module, (nn.Linear, nn.Embedding)):
                module.weight.data.normal_(mean=0.0, std=0.2)
            elif isinstance(module, nn.LayerNorm):
                module.bias.data.zero_()
                module.weight.data.fill_(1.0)
            if isinstance(module, nn.Linear) and module.bias is not None:
                module.bias.data.zero_()

        def forward(self, input_ids, token_type_ids, attention_mask, labels, next_sentence_label):
            x = self.embeddings(input_ids, token_type_ids)
            mask = (1.0 - attention_mask[:, None, None, :].to(x.dtype)) * -10000.0
            for layer in self.encoder:
                x = layer(x, mask)
            scores = self.decoder(self.transform(x)) + self.bias
            relation = self.seq_relationship(self.pooler(x))
            masked = F.cross_entropy(scores.view(-1, scores.shape[-1]), labels.view(-1))
            return masked, F.cross_entropy(relation, next_sentence_label)

    model = BertForPreTraining(VOCABULARY)

    def start():
        # the bias of the keys has no gradient but rounding errors, which an eps of 1e-8 would blow up
        optimizer = torch.optim.Adam(model.parameters(), lr=5e-3, eps=1e-4)

        def step(*inputs):
            model.train()
            optimizer.zero_grad()
            masked, following = model(*inputs)
            (masked + following).backward()
            optimizer.step()
            return masked, following

        return step

    return model, start


def batch(rng):
    tokens = rng.integers(1, VOCABULARY, (4, LENGTH))
    lengths = rng.integers(4, LENGTH + 1, 4)
    there = (lengths[:, None] > range(LENGTH)).astype("int64")
    kinds = (rng.integers(2, 4, 4)[:, None] < range(LENGTH)).astype("int64")
    labels = tokens * there
    labels[(rng.random(labels.shape) > 0.4) | (there == 0)] = -100
    labels[0, 0] = 3
    return tokens * there, kinds, there, labels, rng.integers(0, 2, 4)
