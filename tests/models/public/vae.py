"""A convolutional variational autoencoder: Kingma and Welling, Auto-Encoding Variational Bayes, 2014."""

LATENT = 3


def build(torch):
    nn, F = torch.nn, torch.nn.functional

    class VAE(nn.Module):
        def __init__(self, channels=1, hidden=4, latent=LATENT):
            super().__init__()
            self.encoder = nn.Sequential(
                nn.Conv2d(channels, hidden, 3, stride=2, padding=1),
                nn.ELU(),
                nn.Conv2d(hidden, 2 * hidden, 3, stride=2, padding=1),
                nn.ELU(),
                nn.Flatten(),
            )
            self.fc_mu = nn.Linear(2 * hidden * 9, latent)
            self.fc_logvar = nn.Linear(2 * hidden * 9, latent)
            self.decoder = nn.Sequential(
                nn.Linear(latent, 2 * hidden * 9),
                nn.Unflatten(1, (2 * hidden, 3, 3)),
                nn.ConvTranspose2d(2 * hidden, hidden, 3, stride=2, padding=1, output_padding=1),
                nn.SiLU(),
                nn.ConvTranspose2d(hidden, channels, 3, stride=2, padding=1, output_padding=1),
            )

        def encode(self, x):
            h = self.encoder(x)
            return self.fc_mu(h), self.fc_logvar(h)

        def reparameterize(self, mu, logvar, eps=None):
            std = torch.exp(0.5 * logvar)
            eps = torch.randn_like(std) if eps is None else eps
            return mu + eps * std

        def forward(self, x, eps=None):
            mu, logvar = self.encode(x)
            return self.decoder(self.reparameterize(mu, logvar, eps)), mu, logvar

    def loss_function(recon_x, x, mu, logvar):
        BCE = F.binary_cross_entropy_with_logits(recon_x, x, reduction="sum")
        KLD = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
        return BCE, KLD

    model = VAE()

    def start():
        optimizer = torch.optim.Adam(model.parameters(), lr=3e-3, amsgrad=True)
        rate = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.9)

        def step(x, eps):
            recon, mu, logvar = model(x, eps)
            bce, kld = loss_function(recon, x, mu, logvar)
            optimizer.zero_grad()
            (bce + kld).backward()
            optimizer.step()
            rate.step()
            return bce, kld

        return step

    return model, start


def batch(rng):
    return rng.random((4, 1, 12, 12)), rng.standard_normal((4, LATENT))
