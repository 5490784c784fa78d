"""An encoder-decoder Transformer for translation: Vaswani et al., Attention Is All You Need, 2017."""

import math

SOURCE, TARGET, PAD = 11, 13, 0


def build(torch):
    nn = torch.nn

    class PositionalEncoding(nn.Module):
        def __init__(self, d_model, dropout=0.0, max_len=50):
            super().__init__()
            self.dropout = nn.Dropout(p=dropout)
            position = torch.arange(max_len).unsqueeze(1)
            div_term = torch.exp(torch.arange(0, d_model, 2) * (-math.log(10000.0) / d_model))
            pe = torch.zeros(max_len, 1, d_model)
            pe[:, 0, 0::2] = torch.sin(position * div_term)
            pe[:, 0, 1::2] = torch.cos(position * div_term)
            self.register_buffer("pe", pe)

        def forward(self, x):
            x = x + self.pe[: x.size(0)]
            return self.dropout(x)

    class Seq2SeqTransformer(nn.Module):
        def __init__(self, source_size, target_size, d_model=12, nhead=3, layers=2, inner=20):
            super().__init__()
            self.d_model = d_model
            self.source = nn.Embedding(source_size, d_model)
            self.target = nn.Embedding(target_size, d_model)
            self.positions = PositionalEncoding(d_model)
            self.transformer = nn.Transformer(d_model, nhead, layers, layers, inner, dropout=0.0)
            self.generator = nn.Linear(d_model, target_size)
            for p in self.parameters():
                if p.dim() > 1:
                    nn.init.xavier_uniform_(p)

        def forward(self, src, tgt):
            causal = nn.Transformer.generate_square_subsequent_mask(tgt.size(0))
            padded, target_padded = (src == PAD).transpose(0, 1), torch.zeros_like(tgt, dtype=causal.dtype).transpose(0, 1)
            out = self.transformer(
                self.positions(self.source(src) * math.sqrt(self.d_model)),
                self.positions(self.target(tgt) * math.sqrt(self.d_model)),
                tgt_mask=causal,
                src_key_padding_mask=padded,
                tgt_key_padding_mask=target_padded.masked_fill((tgt == PAD).transpose(0, 1), float("-inf")),
                memory_key_padding_mask=padded,
            )
            return self.generator(out)

    model = Seq2SeqTransformer(SOURCE, TARGET)

    def start():
        criterion = nn.CrossEntropyLoss(ignore_index=PAD, label_smoothing=0.1)
        # the bias of the keys has no gradient but rounding errors, which an eps of 1e-9 would blow up
        optimizer = torch.optim.Adam(model.parameters(), lr=2e-3, betas=(0.9, 0.98), eps=1e-4)
        warmup = 3
        rate = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda i: warmup**0.5 * min((i + 1) ** -0.5, (i + 1) * warmup**-1.5)
        )

        def step(src, tgt):
            logits = model(src, tgt[:-1, :])
            optimizer.zero_grad()
            loss = criterion(logits.reshape(-1, logits.shape[-1]), tgt[1:, :].reshape(-1))
            loss.backward()
            optimizer.step()
            rate.step()
            return loss

        return step

    return model, start


def batch(rng):
    src, tgt = rng.integers(1, SOURCE, (7, 3)), rng.integers(1, TARGET, (6, 3))
    src[5:, 0] = src[4:, 2] = tgt[4:, 1] = PAD
    return src, tgt
