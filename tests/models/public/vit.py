"""A Vision Transformer: Dosovitskiy et al., An Image is Worth 16x16 Words, 2021."""

CLASSES = 5


def build(torch):
    nn, F = torch.nn, torch.nn.functional

    class PatchEmbedding(nn.Module):
        def __init__(self, patch_size, in_channels, dim):
            super().__init__()
            self.proj = nn.Conv2d(in_channels, dim, kernel_size=patch_size, stride=patch_size)

        def forward(self, x):
            return self.proj(x).flatten(2).transpose(1, 2)

    class ViT(nn.Module):
        def __init__(self, image_size=12, patch_size=4, in_channels=3, dim=12, depth=2, heads=3, num_classes=CLASSES):
            super().__init__()
            self.patch_embed = PatchEmbedding(patch_size, in_channels, dim)
            self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
            self.pos_embed = nn.Parameter(torch.empty(1, (image_size // patch_size) ** 2 + 1, dim))
            layer = nn.TransformerEncoderLayer(
                dim, heads, 4 * dim, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
            )
            self.encoder = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)
            self.norm = nn.LayerNorm(dim, eps=1e-6)
            self.head = nn.Linear(dim, num_classes)
            nn.init.trunc_normal_(self.pos_embed, std=0.02)
            nn.init.trunc_normal_(self.cls_token, std=0.02)

        def forward(self, x):
            x = self.patch_embed(x)
            x = torch.cat((self.cls_token.expand(x.shape[0], -1, -1), x), dim=1)
            x = self.encoder(x + self.pos_embed)
            return self.head(self.norm(x)[:, 0])

    model = ViT()

    def start():
        # the bias of the keys has no gradient but rounding errors, which an eps of 1e-8 would blow up
        optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.05, eps=1e-4)
        rate = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=6)

        def step(images, labels):
            loss = F.cross_entropy(model(images), labels, label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            rate.step()
            return loss

        return step

    return model, start


def batch(rng):
    return rng.standard_normal((4, 3, 12, 12)), rng.integers(0, CLASSES, 4)
