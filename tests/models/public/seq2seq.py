"""Translation by GRUs with attention: Bahdanau et al., 2015 (additive), and Luong et al., 2015 (multiplicative)."""

SOURCE, TARGET, PAD, START = 12, 11, 0, 1


def build(torch, attention="bahdanau"):
    nn, F = torch.nn, torch.nn.functional

    class Encoder(nn.Module):
        def __init__(self, vocab_size, embed, hidden):
            super().__init__()
            self.embedding = nn.Embedding(vocab_size, embed, padding_idx=PAD)
            self.gru = nn.GRU(embed, hidden, batch_first=True, bidirectional=True)
            self.fc = nn.Linear(2 * hidden, hidden)

        def forward(self, src, lengths):
            packed = nn.utils.rnn.pack_padded_sequence(self.embedding(src), lengths, batch_first=True, enforce_sorted=False)
            outputs, hidden = self.gru(packed)
            outputs, _ = nn.utils.rnn.pad_packed_sequence(outputs, batch_first=True, total_length=src.size(1))
            return outputs, torch.tanh(self.fc(torch.cat((hidden[-2], hidden[-1]), dim=1)))

    class BahdanauAttention(nn.Module):
        def __init__(self, hidden):
            super().__init__()
            self.Wa = nn.Linear(hidden, hidden, bias=False)
            self.Ua = nn.Linear(2 * hidden, hidden)
            self.Va = nn.Linear(hidden, 1, bias=False)

        def forward(self, query, keys):
            return self.Va(torch.tanh(self.Wa(query).unsqueeze(1) + self.Ua(keys))).squeeze(-1)

    class LuongAttention(nn.Module):
        def __init__(self, hidden):
            super().__init__()
            self.attn = nn.Linear(2 * hidden, hidden, bias=False)

        def forward(self, query, keys):
            return torch.bmm(self.attn(keys), query.unsqueeze(2)).squeeze(2)

    class Decoder(nn.Module):
        def __init__(self, vocab_size, embed, hidden):
            super().__init__()
            self.embedding = nn.Embedding(vocab_size, embed)
            self.attention = {"bahdanau": BahdanauAttention, "luong": LuongAttention}[attention](hidden)
            self.cell = nn.GRUCell(embed + 2 * hidden, hidden)
            self.out = nn.Linear(3 * hidden, vocab_size)

        def forward(self, token, state, memory, mask):
            scores = self.attention(state, memory).masked_fill(mask, -1e9)
            weights = F.softmax(scores, dim=-1)
            context = torch.bmm(weights.unsqueeze(1), memory).squeeze(1)
            state = self.cell(torch.cat([self.embedding(token), context], dim=-1), state)
            return self.out(torch.cat([state, context], dim=-1)), state, weights

    class Seq2Seq(nn.Module):
        def __init__(self, source_size, target_size, embed=6, hidden=8):
            super().__init__()
            self.encoder = Encoder(source_size, embed, hidden)
            self.decoder = Decoder(target_size, embed, hidden)

        def forward(self, src, lengths, tgt):
            memory, state = self.encoder(src, lengths)
            mask = src == PAD
            token = torch.full((src.size(0),), START, dtype=torch.long)
            outputs = []
            for t in range(tgt.size(1)):
                output, state, _ = self.decoder(token, state, memory, mask)
                outputs.append(output)
                token = tgt[:, t] if t % 3 else output.argmax(1)  # now and then what it said itself
            return torch.stack(outputs, dim=1)

    model = Seq2Seq(SOURCE, TARGET)

    def start():
        if attention == "bahdanau":
            optimizer = torch.optim.Adadelta(model.parameters(), lr=10.0, rho=0.95, eps=1e-6)
        else:
            optimizer = torch.optim.SGD(model.parameters(), lr=1.0)

        def step(src, lengths, tgt):
            optimizer.zero_grad()
            log_probs = F.log_softmax(model(src, lengths, tgt), dim=-1)
            loss = nn.NLLLoss(ignore_index=PAD)(log_probs.view(-1, log_probs.size(-1)), tgt.reshape(-1))
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
            optimizer.step()
            return loss

        return step

    return model, start


def batch(rng):
    lengths = rng.permutation([7, 4, 2])
    src, tgt = rng.integers(1, SOURCE, (3, 7)), rng.integers(2, TARGET, (3, 5))
    src[lengths[:, None] <= range(7)] = PAD
    tgt[1, 3:] = PAD
    return src, lengths, tgt
