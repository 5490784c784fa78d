"""DCGAN: Radford et al., Unsupervised Representation Learning with Deep Convolutional GANs, 2016."""

LATENT = 6


def build(torch):
    nn = torch.nn

    class Generator(nn.Module):
        def __init__(self, nz, ngf, nc):
            super().__init__()
            self.main = nn.Sequential(
                nn.ConvTranspose2d(nz, ngf * 2, 4, 1, 0, bias=False),
                nn.BatchNorm2d(ngf * 2),
                nn.ReLU(True),
                nn.ConvTranspose2d(ngf * 2, ngf, 4, 2, 1, bias=False),
                nn.BatchNorm2d(ngf),
                nn.ReLU(True),
                nn.ConvTranspose2d(ngf, nc, 4, 2, 1, bias=False),
                nn.Tanh(),
            )

        def forward(self, input):
            return self.main(input)

    class Discriminator(nn.Module):
        def __init__(self, nc, ndf):
            super().__init__()
            self.main = nn.Sequential(
                nn.Conv2d(nc, ndf, 4, 2, 1, bias=False),
                nn.LeakyReLU(0.2, inplace=True),
                nn.Conv2d(ndf, ndf * 2, 4, 2, 1, bias=False),
                nn.BatchNorm2d(ndf * 2),
                nn.LeakyReLU(0.2, inplace=True),
                nn.Conv2d(ndf * 2, 1, 4, 1, 0, bias=False),
                nn.Sigmoid(),
            )

        def forward(self, input):
            return self.main(input).view(-1)

    def weights_init(m):
        classname = m.__class__.__name__
        if classname.find("Conv") != -1:
            nn.init.normal_(m.weight.data, 0.0, 0.1)
        elif classname.find("BatchNorm") != -1:
            nn.init.normal_(m.weight.data, 1.0, 0.1)
            nn.init.constant_(m.bias.data, 0)

    model = nn.ModuleDict({"generator": Generator(LATENT, 4, 2), "discriminator": Discriminator(2, 4)})
    model.apply(weights_init)

    def start():
        netG, netD = model["generator"], model["discriminator"]
        criterion = nn.BCELoss()
        optimizerD = torch.optim.Adam(netD.parameters(), lr=2e-3, betas=(0.5, 0.999), eps=1e-6)
        optimizerG = torch.optim.Adam(netG.parameters(), lr=2e-3, betas=(0.5, 0.999), eps=1e-6)

        def step(real, noise):
            netD.zero_grad()
            label = torch.full((real.size(0),), 1.0, dtype=real.dtype)
            errD_real = criterion(netD(real), label)
            errD_real.backward()
            fake = netG(noise)
            label.fill_(0.0)
            errD_fake = criterion(netD(fake.detach()), label)
            errD_fake.backward()
            optimizerD.step()

            netG.zero_grad()
            label.fill_(1.0)
            errG = criterion(netD(fake), label)
            errG.backward()
            optimizerG.step()
            return errD_real + errD_fake, errG

        return step

    return model, start


def batch(rng):
    return rng.uniform(-1, 1, (5, 2, 16, 16)), rng.standard_normal((5, LATENT, 1, 1))
