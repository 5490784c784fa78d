"""A language model of LSTMs over packed sequences: Zaremba et al., Recurrent Neural Network Regularization, 2014."""

VOCABULARY, PAD = 14, 0


def build(torch):
    nn, F = torch.nn, torch.nn.functional
    from_padded, to_padded = nn.utils.rnn.pack_padded_sequence, nn.utils.rnn.pad_packed_sequence

    class LSTMLanguageModel(nn.Module):
        def __init__(self, vocab_size, hidden=9, num_layers=2, dropout=0.0):
            super().__init__()
            self.hidden, self.num_layers = hidden, num_layers
            self.drop = nn.Dropout(dropout)
            self.encoder = nn.Embedding(vocab_size, hidden, padding_idx=PAD)
            self.rnn = nn.LSTM(hidden, hidden, num_layers, batch_first=True, dropout=dropout)
            self.decoder = nn.Linear(hidden, vocab_size)
            self.decoder.weight = self.encoder.weight
            self.init_weights()

        def init_weights(self):
            nn.init.uniform_(self.encoder.weight, -0.3, 0.3)
            nn.init.zeros_(self.decoder.bias)

        def init_hidden(self, batch_size):
            weight = next(self.parameters())
            shape = (self.num_layers, batch_size, self.hidden)
            return weight.new_zeros(shape), weight.new_zeros(shape)

        def forward(self, tokens, lengths, hidden):
            packed = from_padded(self.drop(self.encoder(tokens)), lengths, batch_first=True, enforce_sorted=False)
            self.rnn.flatten_parameters()
            output, hidden = self.rnn(packed, hidden)
            output, _ = to_padded(output, batch_first=True, total_length=tokens.size(1))
            return self.decoder(self.drop(output)), hidden

    model = LSTMLanguageModel(VOCABULARY)

    def start():
        optimizer = torch.optim.SGD(model.parameters(), lr=2.0)

        def step(tokens, targets, lengths):
            logits, (h, _) = model(tokens, lengths, model.init_hidden(tokens.size(0)))
            loss = F.cross_entropy(logits.transpose(1, 2), targets, ignore_index=PAD)
            optimizer.zero_grad()
            (loss + 1e-3 * h.pow(2).sum()).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 0.25)
            optimizer.step()
            return loss

        return step

    return model, start


def batch(rng):
    lengths = rng.permutation([8, 3, 6, 1])
    tokens = rng.integers(1, VOCABULARY, (4, 10))
    tokens[lengths[:, None] < range(10)] = PAD
    targets = tokens[:, 1:].copy()
    return tokens[:, :-1], targets, lengths
